"""Parts of a chart to the addresses that show only them: a range of time, and of the durations of traces.

```
/search?q={ status = error }       13:00 to 13:05, 10 to 200 ms
→ /search?q={ status = error && traceDuration >= 10ms && traceDuration <= 200ms }&from=…13:00&to=…13:05
```

All is rounded outward, times to milliseconds and durations to three digits, so that nothing at an edge is lost.
"""

from __future__ import annotations

from functools import lru_cache, reduce
from urllib.parse import quote_plus

from minitrace import present
from minitrace.model import MAX_TIME_NS
from minitrace.traceql.ast import Binary, Field, Intrinsic, Static
from minitrace.traceql.names import duration_text
from minitrace.web.forms import SearchForm
from minitrace.web.refining import added, conditions, removed

_MS = 1_000_000
_HERE, _FROM, _TO = "\ue000", "\ue001", "\ue002"  # in no query's text: there, what cannot be printed is escaped
_QUOTED = {name: quote_plus(name) for name in (_HERE, _FROM, _TO)}


class Zoom:
    """The addresses of a search, narrowed and widened. A heat map needs a thousand: they are made by filling in."""

    def __init__(self, form: SearchForm) -> None:
        self._form = form
        self._limits = [one for one in conditions(form.query) if _is_limit(one)]
        self._unlimited = reduce(removed, self._limits, form.query)
        self._limited = str(added(self._unlimited, Intrinsic(_HERE)))
        self._of_time = form.url(**{"from": _FROM, "to": _TO})
        of_both = form.query_url(self._limited, **{"from": _FROM, "to": _TO})
        self._of_both = self._of_time if form.box.words else of_both

    def to_time(self, start_ns: int, end_ns: int) -> str:
        """The traces of this time."""
        return _filled(self._of_time, start_ns, end_ns)

    def to_both(self, start_ns: int, end_ns: int, shortest_ns: int, longest_ns: int) -> str:
        """The traces of this time, and of these durations unless the box has plain words: no query can have both."""
        return _filled(self._of_both, start_ns, end_ns).replace(_QUOTED[_HERE], _limits(shortest_ns, longest_ns))

    @property
    def around(self) -> tuple[str, str] | None:
        """The query's text before and behind the place for limits of the duration; None with plain words in the box."""
        before, _, behind = self._limited.partition(_HERE)
        return None if self._form.box.words else (before, behind)

    @property
    def reset_url(self) -> str | None:
        """All times and durations; None where nothing limits them."""
        unlimited: dict[str, str | None] = {"from": None, "to": None}
        if self._limits:
            return self._form.query_url(self._unlimited, **unlimited)
        return self._form.url(**unlimited) if self._form.values.keys() & unlimited.keys() else None


def _is_limit(condition: Field) -> bool:
    return (
        isinstance(condition, Binary)
        and condition.left == Intrinsic("traceDuration")
        and condition.operator in (">=", ">", "<=", "<")
        and isinstance(condition.right, Static)
    )


def _filled(url: str, start_ns: int, end_ns: int) -> str:
    return url.replace(_QUOTED[_FROM], _moment(start_ns)).replace(_QUOTED[_TO], _moment(end_ns + _MS - 1))


@lru_cache(256)
def _limits(shortest_ns: int, longest_ns: int) -> str:
    """The conditions, as an address has them."""
    low, high = duration_text(_rounded_down(shortest_ns)), duration_text(-_rounded_down(-longest_ns))
    return quote_plus(f"traceDuration >= {low} && traceDuration <= {high}")


@lru_cache(256)
def _moment(time_ns: int) -> str:
    """A time in UTC, to the millisecond, as an address has it."""
    return quote_plus(present.iso(min(max(1, time_ns), MAX_TIME_NS - 1))[:-4] + "Z")


def _rounded_down(duration_ns: int) -> int:
    """The next smaller number of three digits and zeros; of a negative one, the next larger amount."""
    unit: int = 10 ** max(0, len(str(abs(duration_ns))) - 3)
    return duration_ns // unit * unit
