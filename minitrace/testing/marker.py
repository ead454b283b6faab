"""What ``@pytest.mark.traces(…)`` claims of the spans that a test's body made; those of its fixtures do not count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import partial
from typing import Any

from minitrace.errors import ConfigError, DecodeError
from minitrace.testing import claims
from minitrace.testing.capturing import Snapshot
from minitrace.testing.failures import TracesFailure
from minitrace.testing.traces import Traces, nanoseconds

DATABASE = "{ span.db.system.name != nil || span.db.system != nil }"
EVERYTHING = "{}"


@dataclass(frozen=True, slots=True)
class Marker:
    """The claims of a test's markers; what is False or None is not claimed.

    `budget` is how long any span may be running, as a duration such as "200ms".
    """

    no_errors: bool = False
    no_n_plus_one: bool = False
    max_queries: int | None = None
    budget: str | timedelta | None = None

    def __post_init__(self) -> None:
        for name in ("no_errors", "no_n_plus_one"):
            if not isinstance(value := getattr(self, name), bool):
                raise ConfigError(f"{name}={value!r} is neither True nor False")
        if self.max_queries is not None and (type(self.max_queries) is not int or self.max_queries < 0):
            raise ConfigError(f"max_queries={self.max_queries!r} is not a count: write max_queries=10")
        try:
            self.budget_ns(1.0)
        except (DecodeError, AttributeError):
            raise ConfigError(f'budget={self.budget!r} is not a duration: write budget="200ms"') from None

    def budget_ns(self, scale: float) -> int | None:
        """The budget in nanoseconds, or None."""
        return None if self.budget is None else round(nanoseconds(self.budget) * scale)

    def failure(self, traces: Traces, before: Snapshot, budget_scale: float) -> str:
        """Why the first claim does not hold that does not, of what came after `before`; "" if all hold."""
        for claim, check in self._claims(budget_scale):
            try:
                check(since(before, traces._settled()))
            except TracesFailure as failure:
                return f"@pytest.mark.traces({claim}) does not hold\n{failure}"
        return ""

    def _claims(self, scale: float) -> Iterator[tuple[str, Callable[[Snapshot], None]]]:
        if self.no_errors:
            yield "no_errors=True", partial(claims.no_errors, ignore=None)
        if self.no_n_plus_one:
            yield "no_n_plus_one=True", claims.no_n_plus_one
        if self.max_queries is not None:
            count = partial(claims.budget, query=DATABASE, count=self.max_queries, max_ns=None, self_time=False)
            yield f"max_queries={self.max_queries}", count
        if self.budget is not None:
            within = partial(claims.budget, query=EVERYTHING, count=None, max_ns=self.budget_ns(scale), self_time=False)
            yield f"budget={self.budget!r}", within


def read(markers: Sequence[tuple[Sequence[object], Mapping[str, Any]]]) -> Marker:
    """The claims of markers by their arguments, positional and by name. The first is the nearest to the test, and wins.

    Raises:
        ConfigError: somebody claims what is not known, or makes no sense.
    """
    known = [field.name for field in fields(Marker)]
    claimed: dict[str, Any] = {}
    for positional, named in reversed(markers):
        for claim in (*map(repr, positional), *named):
            if claim not in known:
                raise ConfigError(f"{claim} is not known: it takes {', '.join(known[:-1])} and {known[-1]}, by name")
        claimed |= named
    return Marker(**claimed)


def since(before: Snapshot, now: Snapshot) -> Snapshot:
    """What came after a moment: the spans, the names of those that have not ended, the count of those dropped."""
    old = {(seen.span.trace_id, seen.span.span_id) for seen in before.seen}
    new = tuple(seen for seen in now.seen if (seen.span.trace_id, seen.span.span_id) not in old)
    started = Counter(now.open) - Counter(before.open)
    return Snapshot(new, max(now.dropped - before.dropped, 0), tuple(started.elements()), now.version)
