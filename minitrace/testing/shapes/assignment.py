"""Who takes whom: each of some spans is given to one line of a shape, and each line gets as many as it wants.

```
spans            lines that fit        given
SELECT users     SELECT *              SELECT *
SELECT stock     SELECT *, SELECT st…  SELECT stock      the first that fits would have been wrong
```

`fits` has for each span the lines that it fits, `least` and `most` the number of spans that each line wants.
"""

from __future__ import annotations

from collections.abc import Sequence

Fits = Sequence[Sequence[int]]


def assigned(fits: Fits, least: Sequence[int], most: Sequence[int]) -> list[int | None]:
    """The line of each span; None where there is no room for it.

    A maximum matching, first of as many as each line wants at least, then of all that it may have: what is given once
    may be passed on to another line, but no line ends with fewer. So if there is an assignment of all spans within
    all bounds, it is found, in time like the number of fits times that of spans.
    """
    given: list[int | None] = [None] * len(fits)
    taken: list[list[int]] = [[] for _ in least]
    for bounds in (least, most):
        for span in range(len(fits)):
            if given[span] is None:
                _give(span, fits, bounds, given, taken)
    return given


def _give(span: int, fits: Fits, bounds: Sequence[int], given: list[int | None], taken: list[list[int]]) -> None:
    """Find the span a line, passing on others where that makes room: breadth first, each line is looked at once."""
    came_from: dict[int, int] = {}  # a line, and the span that wants to go there
    waiting = [span]
    for wanting in waiting:
        for line in fits[wanting]:
            if line in came_from:
                continue
            came_from[line] = wanting
            if len(taken[line]) < bounds[line]:
                _pass_on(line, came_from, given, taken)
                return
            waiting += taken[line]


def _pass_on(line: int, came_from: dict[int, int], given: list[int | None], taken: list[list[int]]) -> None:
    """Along the way that was found, each span moves to the line that it came for."""
    while True:
        span = came_from[line]
        before, given[span] = given[span], line
        taken[line].append(span)
        if before is None:
            return
        taken[before].remove(span)
        line = before


def in_sequence(fits: Fits, least: Sequence[int], most: Sequence[int]) -> bool:
    """Whether the spans, as they stand, can be cut into pieces, one for each line in its order."""
    reached = {0}  # how many spans may be given to the lines so far
    for line, (low, high) in enumerate(zip(least, most, strict=True)):
        reached = {end for start in reached for end in _ends(start, line, fits, low, high)}
    return len(fits) in reached


def _ends(start: int, line: int, fits: Fits, low: int, high: int) -> list[int]:
    """Where a piece for a line may end that begins here."""
    end = start
    while end < len(fits) and end - start < high and line in fits[end]:
        end += 1
    return list(range(start + low, end + 1))
