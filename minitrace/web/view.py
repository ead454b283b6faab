"""What of a trace is seen: an address's parameters, and the rows that they let through.

The page's module does the same in the browser (``rows.js``); a test compares the two.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from minitrace.durations import parse_duration
from minitrace.errors import DecodeError
from minitrace.model import Kind
from minitrace.web.lookup import read_id
from minitrace.web.rows import CRITICAL, ERROR, NO_SPAN, RUN, SLOW, Rows

VIEWS = {
    "timeline": "Timeline",
    "flame": "Flame graph",
    "table": "Table",
    "stats": "Statistics",
    "services": "Services",
    "logs": "Logs",
    "json": "JSON",
}
PILLS = {"errors": ERROR, "critical": CRITICAL, "slow": SLOW}
LEAST_PREFIX = 6  # hex digits of an id in `x`


@dataclass(frozen=True, slots=True)
class View:
    """The parameters of a trace's page, see `Address`; what cannot be read is as if it was not there."""

    view: str = "timeline"
    find: str = ""
    only: bool = False
    show: tuple[str, ...] = ()
    hide: tuple[str, ...] = ()
    without: tuple[int, ...] = ()
    least_ns: int = 0
    root: bytes | None = None
    window: tuple[int, int] | None = None
    depth: int = 0
    toggled: frozenset[str] = frozenset()
    has_runs: bool = True
    is_adjusted: bool = True
    has_gaps: bool = True

    @property
    def is_filtered(self) -> bool:
        """Whether some rows are shown only for what is below them."""
        return bool(self.only or self.show or self.hide or self.without or self.least_ns)


def read_view(pairs: Iterable[tuple[str, str]]) -> View:
    """The view that an address asks for."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    one = {name: found[0] for name, found in values.items()}
    find = one.get("find", "").strip()
    return View(
        view=one["view"] if one.get("view") in VIEWS else "timeline",
        find=find,
        only=bool(find) and one.get("only") == "1",
        show=tuple(pill for text in values.get("show", ()) for pill in text.split(",") if pill in PILLS),
        hide=tuple(values.get("hide", ())),
        without=tuple(
            Kind[kind.upper()].value
            for text in values.get("without", ())
            for kind in text.split(",")
            if kind.upper() in Kind.__members__
        ),
        least_ns=_duration(one.get("min", "")) or 0,
        root=read_id(one.get("root", ""), 16),
        window=_window(one.get("t", "")),
        depth=_number(one.get("depth", "")),
        toggled=frozenset(key for key in one.get("x", "").split(",") if len(key) >= LEAST_PREFIX),
        has_runs=one.get("runs") != "0",
        is_adjusted=one.get("skew") != "raw",
        has_gaps=one.get("gaps") != "0",
    )


class Sight:
    """The rows that a view shows of a trace: `shown`, in order."""

    def __init__(self, rows: Rows, view: View, matches: Collection[int] = ()) -> None:
        self._rows, self._view = rows, view
        self._digits = {len(key) for key in view.toggled}
        self._first, last = 0, len(rows)
        if view.root and (root := rows.find(view.root)) is not None:
            self._first, last = root, root + rows.size[root]
        self._wanted = _wanted(rows, view, matches) if view.is_filtered else None
        reaching = _reaching(rows, self._wanted) if self._wanted is not None else None
        self.shown: list[int] = []
        row = self._first
        while row < last:
            if reaching and not reaching[row]:
                row += rows.size[row]
                continue
            self.shown.append(row)
            row += rows.size[row] if self.is_folded(row) else 1

    @property
    def top(self) -> int:
        """The depth of the rows that stand at the left."""
        return self._rows.depth[self._first]

    def is_context(self, row: int) -> bool:
        """Whether it is shown only for what is below it."""
        return self._wanted is not None and not self._wanted[row]

    def is_folded(self, row: int) -> bool:
        """Whether the rows below it are not shown."""
        rows, view = self._rows, self._view
        if rows.size[row] < 2:
            return False
        is_run = bool(rows.flags[row] & RUN)
        folded = (is_run and not view.is_filtered) or 0 < view.depth <= rows.depth[row] - self.top + 1
        return folded != any(fold_key(rows, row)[:digits] in view.toggled for digits in self._digits)


def fold_key(rows: Rows, row: int) -> str:
    """What stands for a row in `x`, whole."""
    return ("r" if rows.flags[row] & RUN else "") + rows.id(row).hex()


def _wanted(rows: Rows, view: View, matches: Collection[int]) -> bytearray:
    """For each row, whether it is what the filters ask for."""
    pills = sum(PILLS[pill] for pill in set(view.show))
    hide, without = set(view.hide), set(view.without)
    hidden = {number for number, (name, _) in enumerate(rows.services) if name in hide}
    found = set(matches) if view.only else None
    return bytearray(
        not flags & NO_SPAN
        and (not pills or bool(flags & pills))
        and service not in hidden
        and kind not in without
        and length >= view.least_ns
        and (found is None or row in found)
        for row, (flags, service, kind, length) in enumerate(
            zip(rows.flags, rows.service, rows.kind, rows.length, strict=True)
        )
    )


def _reaching(rows: Rows, wanted: bytearray) -> bytearray:
    """For each row, whether it or one below it is wanted."""
    reaching = bytearray(wanted)
    above: list[int] = []
    for row, depth in enumerate(rows.depth):
        del above[depth:]
        if wanted[row]:
            for ancestor in reversed(above):
                if reaching[ancestor]:
                    break
                reaching[ancestor] = 1
        above.append(row)
    return reaching


def _duration(text: str) -> int | None:
    try:
        return parse_duration(text)
    except DecodeError:
        return None


def _window(text: str) -> tuple[int, int] | None:
    begin, end = map(_duration, text.partition(",")[::2])
    return (begin, end) if begin is not None and end is not None and begin < end else None


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
