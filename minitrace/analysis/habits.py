"""Which values attributes have in many traces, at each place: an operation's path, or a service for its resource.

```
place                       key             values, by how many traces have them
frontend POST /checkout     app.version     2.3.0 ×192, 2.3.1 ×8
payment                     host.arch       amd64 ×200
```
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from minitrace import present
from minitrace.analysis.noise import is_noise
from minitrace.analysis.tree import Tree
from minitrace.model import Attributes, Value

USUAL = 0.6  # what so many of the others have is usual
RARE = 0.1  # and what so few have is not
NEARLY_ALL = 0.9  # have an attribute that is missed where it is not
DISTINCT = 5  # numbers or more are a quantity, not a code
FAR = 3.0  # times as much as usual
MOST_VALUES = 2_000  # of one attribute at one place: what has more has no usual one
MOST_ROWS = 20  # of a trace at one place: of more calls, the first ones tell

Place = int | str  # the number of a path, or a service
Plain = str | bool | int | float


@dataclass(slots=True)
class Habit:
    """An attribute at one place: how many of the traces that come there have it, and which values."""

    trace_count: int = 0
    last_trace: int = -1
    values: Counter[Plain] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Oddity:
    """A value of a trace that others rarely have where they have this, at `row`.

    `value` is None where it has none, `usual` where most others have none. `share` of the others are like it,
    `usual_share` like each other. Of a quantity, `usual` is the median and `most` what 95 in 100 do not exceed.
    """

    row: int
    place: Place
    key: str
    value: Plain | None
    usual: Plain | None
    share: float
    usual_share: float
    most: float | None = None


class Habits:
    """Counts the values of many traces, one by one."""

    def __init__(self) -> None:
        self._count = 0
        self._traces: Counter[Place] = Counter()  # that come to a place
        self._habits: defaultdict[Place, dict[str, Habit]] = defaultdict(dict)

    def take(self, tree: Tree, numbers: Sequence[int]) -> None:
        """Add a trace; `numbers` are those of its rows' paths."""
        self._count += 1
        found = _values(tree, numbers)
        self._traces.update(found.keys())
        for place, (_, values) in found.items():
            habits = self._habits[place]
            for key, own in values.items():
                habit = habits.get(key)
                if habit is None:
                    habit = habits[key] = Habit()
                habit.trace_count += 1
                if len(habit.values) < MOST_VALUES:
                    habit.values.update(own.keys())

    def oddities(self, tree: Tree, numbers: Sequence[int], least: int) -> Iterator[Oddity]:
        """What is odd about a trace that was not counted, at places where `least` others came."""
        for place, (row, values) in _values(tree, numbers).items():
            count, habits = self._traces[place], self._habits.get(place, {})
            if count < least:
                continue
            for key, own in values.items():
                for value, at in own.items():
                    if odd := _odd(habits.get(key, Habit()), count, value):
                        yield Oddity(at, place, key, value, *odd)
            for key, habit in habits.items():
                share = habit.trace_count / count
                if key not in values and share >= NEARLY_ALL:
                    yield Oddity(row, place, key, None, habit.values.most_common(1)[0][0], 1 - share, share)


_Values = dict[str, dict[Plain, int]]  # the values of each key, with the first row that has them


def _values(tree: Tree, numbers: Sequence[int]) -> dict[Place, tuple[int, _Values]]:
    """By place, the first row there, and the values that may tell something."""
    found: dict[Place, tuple[int, _Values]] = {}
    known: set[int] = set()  # resources
    rows: Counter[int] = Counter()
    for row, (node, number) in enumerate(zip(tree.nodes, numbers, strict=True)):
        resource = node.span.resource
        if id(resource) not in known:
            known.add(id(resource))
            _add(found, resource.service, row, resource.attributes)
        rows[number] += 1
        if rows[number] <= MOST_ROWS:
            _add(found, number, row, node.span.attributes)
    return found


def _add(found: dict[Place, tuple[int, _Values]], place: Place, row: int, attributes: Attributes) -> None:
    _, values = found.setdefault(place, (row, {}))
    for key, value in attributes.items():
        if not is_noise(key):
            values.setdefault(key, {}).setdefault(_plain(value), row)


def _plain(value: Value) -> Plain:
    return value if isinstance(value, (str, bool, int, float)) else present.value(value)


def _odd(habit: Habit, count: int, value: Plain) -> tuple[Plain | None, float, float, float | None] | None:
    """What is usual instead of a value, which share of the others has it, and which that; None if it is not odd."""
    share = habit.values[value] / count
    if share > RARE:
        return None
    if 1 - habit.trace_count / count >= USUAL:
        return None, share, 1 - habit.trace_count / count, None
    ((usual, number),) = habit.values.most_common(1)
    if number / count >= USUAL:
        return usual, share, number / count, None
    return _far(habit, share, value)


def _far(habit: Habit, share: float, value: Plain) -> tuple[Plain | None, float, float, float | None] | None:
    """A quantity that is far more than others have of it."""
    numbers = [
        each for each in habit.values.elements() if isinstance(each, (int, float)) and not isinstance(each, bool)
    ]
    if isinstance(value, (str, bool)) or len(habit.values) < DISTINCT or len(numbers) < NEARLY_ALL * habit.trace_count:
        return None
    numbers.sort()
    middle, most = numbers[len(numbers) // 2], numbers[len(numbers) * 95 // 100]
    return (middle, share, USUAL, most) if value > most and value > FAR * middle else None
