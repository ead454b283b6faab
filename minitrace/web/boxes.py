"""Boxes in columns, and arrows between them: places of a `Layout` to pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from minitrace.web.layers import Layout, Place

WIDTH, HEIGHT = 176, 46  # of a box
GAP, ROW = 104, 66  # between columns; from one row to the next
MARGIN = 8
HEAD = 7  # of an arrow
_BACK = 12  # how far below the others an arrow runs that leads back to the left
LABEL_WIDTH, LABEL_HEIGHT = 52, 14  # of nearly all: ×1,234, 1.35/min, 83.3 ms
# Of the curve into the box. At the first one arrows from one box, or into one, are apart; others find room elsewhere.
_LABEL_AT = (0.6, 0.5, 0.7, 0.4, 0.75, 0.3, 0.25)


Stretch = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Curve:
    """An arrow: a path, its head, and where a label stands."""

    path: str
    head: str
    label_x: float
    label_y: float


def size(places: Layout) -> tuple[float, float]:
    """The width and the height of a drawing."""
    return 2 * MARGIN + places.columns * (WIDTH + GAP) - GAP, 2 * MARGIN + places.rows * ROW


def corner(place: Place) -> tuple[float, float]:
    """The upper left corner of a box."""
    return _left(place), _middle(place) - HEIGHT / 2


def curves(routes: Iterable[Sequence[Place]]) -> list[Curve]:
    """Arrows along routes. Where labels would lie over one another, those of later arrows make way if they can."""
    found: list[Curve] = []
    labels: list[tuple[float, float]] = []
    for route in routes:
        path, head, last = _drawn(route)
        ways = [_on_curve(*last, t) for t in _LABEL_AT]
        labels.append(next((way for way in ways if not any(_overlap(way, label) for label in labels)), ways[0]))
        found.append(Curve(path, head, *labels[-1]))
    return found


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return abs(one[0] - other[0]) < LABEL_WIDTH and abs(one[1] - other[1]) < LABEL_HEIGHT


def _drawn(route: Sequence[Place]) -> tuple[str, str, Stretch]:
    """A path, straight through the columns and in curves between them, its head, and where its last curve goes."""
    is_back = route[0].column > route[-1].column
    forward = 1 if not is_back else -1
    down = _BACK if is_back else 0
    # Each place is passed from the side of the caller to that of the callee
    begins = [(_left(place) + (WIDTH if is_back else 0), _middle(place) + down) for place in route]
    ends = [(_left(place) + (0 if is_back else WIDTH), _middle(place) + down) for place in route]
    tip_x, tip_y = begins[-1]
    begins[-1] = tip_x - forward * HEAD, tip_y
    parts = [f"M{ends[0][0]:g} {ends[0][1]:g}"]
    for i, (x, y) in enumerate(begins[1:], 1):
        from_x, from_y = ends[i - 1]
        bend = (x - from_x) / 2
        parts.append(f"C{from_x + bend:g} {from_y:g} {x - bend:g} {y:g} {x:g} {y:g}")
        if i < len(route) - 1:
            parts.append(f"H{ends[i][0]:g}")
    head = f"M{tip_x:g} {tip_y:g}l{-forward * HEAD} -4v8Z"
    return "".join(parts), head, (ends[-2], begins[-1])


def _on_curve(start: tuple[float, float], end: tuple[float, float], t: float) -> tuple[float, float]:
    """A point of a curve that begins and ends level."""
    along = t**3 - 1.5 * t**2 + 1.5 * t
    across = t**2 * (3 - 2 * t)
    return round(start[0] + (end[0] - start[0]) * along, 1), round(start[1] + (end[1] - start[1]) * across, 1)


def _left(place: Place) -> float:
    return MARGIN + place.column * (WIDTH + GAP)


def _middle(place: Place) -> float:
    return MARGIN + round(place.row * ROW, 1)
