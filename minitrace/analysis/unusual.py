"""Why a trace is different: what it did, and which values it has, that others of its root operation rarely do or have.

```
payment: POST /charge took 881 ms; usually 140 ms (of 200)
14 calls of stock: SELECT stock; usually 1 (of 200)
checkout: app.version = 2.3.1; 96% of the others have 2.3.0
```

As in `findings`, causes and not their echoes: times are own times, and of what is missing or new the top is named.
Values that hardly two traces share have no usual one: ids fall out by themselves.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from minitrace import present
from minitrace.analysis.contrasts import Contrast, contrasts, origins
from minitrace.analysis.habits import RARE, Habits, Oddity
from minitrace.analysis.operations import Change, Operations, Path, Tally, changes, operations
from minitrace.analysis.signatures import shortened
from minitrace.analysis.tree import Tree

FEWEST = 5  # others, or nothing is usual
MOST = 12
MOST_OTHERS_HAVE = 0.8  # of an operation: to miss it is worth a sentence
LONGER, SHORTER = 2.0, 4.0  # times as long, or as short, as usual
LEAST_SHARE = 0.05  # of the trace
FAR_LONGER = 5.0  # is hardly chance
LEAST_CALLS_RATIO = 1.5
# Weights: what a trace did explains more than what it has, unless that may be chance.
OF_OPERATIONS = 0.5  # and the share of the time that they explain
OF_VALUES = 0.5  # where all others have another one


@dataclass(frozen=True, slots=True)
class Unusual:
    """One reason why a trace is different.

    `kind` is one of few (too few others to tell; the only one then), error, time, calls, missing, new, attribute. `row`
    is where to look in the trace, None where there is nothing to see. `subject_value` and `usual_value` are for people,
    "" for none. `share` of the others that could be are like it. `weight` is from 0 to about 1.
    """

    kind: str
    text: str
    row: int | None
    weight: float
    subject_value: str
    usual_value: str
    share: float


def unusual(subject: Tree, population: Sequence[Tree]) -> list[Unusual]:
    """What is unusual about a trace among others of its root operation, most unusual first; at most 12 reasons."""
    if len(population) < FEWEST:
        return [_too_few(len(population))]
    tally, habits = Tally(), Habits()
    for tree in population:
        habits.take(tree, tally.take(tree))
    usual = tally.operations()
    numbers = tally.paths.of(subject)  # more than the others have, perhaps
    found = list(_Trace(subject, usual, tally, numbers).reasons())
    oddities = _once(habits.oddities(subject, numbers, FEWEST))
    found += [_attribute(odd, _place(odd, tally.paths.all)) for odd in oddities]
    return sorted(found, key=lambda reason: -reason.weight)[:MOST]


def _too_few(count: int) -> Unusual:
    others = present.count(count, "other trace") if count else "no other trace"
    return Unusual("few", f"{others} of this root operation: too few to say what is usual", None, 0.0, "", "", 0.0)


class _Trace:
    """A trace against the tally of the others, from the top down: what is found silences its echoes below."""

    def __init__(self, subject: Tree, usual: Operations, tally: Tally, numbers: Sequence[int]) -> None:
        compared = changes(usual, operations([subject]))
        self._subject = subject
        self._changes: list[Change] = compared
        self._contrasts = {each.row: each for each in contrasts(compared)}
        self._samples = dict(zip(tally.paths.all, tally.samples, strict=False))
        self._rows: dict[Path, list[int]] = {}
        for row, number in enumerate(numbers):
            self._rows.setdefault(tally.paths.all[number], []).append(row)

    def reasons(self) -> Iterator[Unusual]:
        """What it did that others rarely do."""
        moved: set[int] = set()
        failed = {each.row for each in self._contrasts.values() if each.b.error_share and each.a.error_share <= RARE}
        failing = origins(self._contrasts, failed)
        for each in self._contrasts.values():
            if each.row in failing:
                yield self._failed(each)
            if each.above in moved:
                moved.add(each.row)
            elif reason := self._presence(each):
                moved.add(each.row)
                yield from [reason] if each.row not in failing else []
            elif each.b.share and each.a.share:
                yield from self._calls(each)
                yield from self._time(each)

    def _failed(self, each: Contrast) -> Unusual:
        share = each.a.error_share
        rows = self._rows[self._changes[each.row].path]
        row = next(row for row in rows if self._subject.span(row).is_error)
        text = f"{each.title} failed; {_of_others(share, 'did', 'did')}"
        return Unusual("error", text, row, 1 - share, "failed", "", share)

    def _presence(self, each: Contrast) -> Unusual | None:
        """It is there, or not, as with few others."""
        part = abs(each.b.total_ns - each.a.total_ns) / max(each.longest_ns, 1)
        path = self._changes[each.row].path
        if each.b.share and each.a.share <= RARE:
            took, others = present.duration(round(each.b.total_ns)), _of_others(each.a.share, "has it", "have it")
            text = f"{each.title}, {took}; {others}"
            return Unusual("new", text, self._slowest(path), min(OF_OPERATIONS + part, 1), "there", "", each.a.share)
        if not each.b.share and each.a.share >= MOST_OTHERS_HAVE:
            text = f"no {each.title}; {_of_others(each.a.share, 'has it', 'have it')}"
            above = self._rows.get(path[:-1], [None])[0]
            return Unusual("missing", text, above, min(OF_OPERATIONS + part, 1), "", "there", 1 - each.a.share)
        return None

    def _calls(self, each: Contrast) -> Iterator[Unusual]:
        """More or fewer calls than with others, by each call of the parent."""
        above = self._contrasts.get(each.above)
        ratio = each.b.calls_per_trace / each.a.calls_per_trace
        if above and above.a.calls_per_trace and above.b.calls_per_trace:
            ratio *= above.a.calls_per_trace / above.b.calls_per_trace
        count, usual = each.b.calls.p50, each.a.calls
        if not (count > usual.p95 and ratio >= LEAST_CALLS_RATIO):
            return
        part = (count - usual.p50) * each.b.duration_ns / max(each.longest_ns, 1)
        path = self._changes[each.row].path
        calls = self._samples[path].calls
        share = sum(own >= count for own in calls) / each.a.trace_count
        text = f"{present.count(count, 'call')} of {each.title}; usually {present.integer(usual.p50)}{_of(each)}"
        subject_value, usual_value = present.integer(count), present.integer(usual.p50)
        yield Unusual(
            "calls", text, self._slowest(path), min(OF_OPERATIONS + part, 1), subject_value, usual_value, share
        )

    def _time(self, each: Contrast) -> Iterator[Unusual]:
        """Its own work took longer, or less long, than with others."""
        own, usual = each.b.own_ns.p50, each.a.own_ns
        part = abs(own - usual.p50) * each.b.calls_per_trace / max(each.longest_ns, 1)
        is_longer = own > usual.p95 and own >= LONGER * usual.p50
        if part < LEAST_SHARE or not (is_longer or own * SHORTER <= usual.p50):
            return
        path = self._changes[each.row].path
        owns = sorted(self._samples[path].owns)
        place = bisect_left(owns, own)
        share = (len(owns) - place if is_longer else place) / len(owns)
        if share > RARE:
            return
        took = "took" if each.is_leaf else "itself took"
        values = present.duration(own), present.duration(usual.p50)
        text = f"{each.title} {took} {values[0]}; usually {values[1]}{_of(each)}"
        weight = part / 2 if not is_longer else part if own < FAR_LONGER * usual.p50 else OF_OPERATIONS + part
        yield Unusual("time", text, self._slowest(path), min(weight, 1), *values, share)

    def _slowest(self, path: Path) -> int:
        tree = self._subject
        return max(self._rows[path], key=lambda row: tree.ends[row] - tree.begins[row])


def _of(each: Contrast) -> str:
    return f" (of {present.integer(each.a.trace_count)})"


def _of_others(share: float, one: str, many: str) -> str:
    """``12% of the others have it``."""
    if share == 0:
        return f"none of the others {one}"
    return f"all others {many}" if share == 1 else f"{present.share(share, 1)} of the others {many}"


# Attributes


def _once(oddities: Iterator[Oddity]) -> list[Oddity]:
    """Each value once: what a caller says, who is called often says, too."""
    first: dict[tuple[str, object], Oddity] = {}
    for odd in oddities:
        first.setdefault((odd.key, odd.value), odd)
    return list(first.values())


def _place(odd: Oddity, paths: Sequence[Path]) -> str:
    if isinstance(odd.place, str):
        return shortened(odd.place)
    service, name = paths[odd.place][-1]
    return f"{shortened(service)}: {name}"


def _attribute(odd: Oddity, place: str) -> Unusual:
    value, usual = (shortened(present.value(each)) for each in (odd.value, odd.usual))
    others = _of_others(odd.usual_share, "has", "have")
    if odd.value is None:
        text, value = f"{place}: no {odd.key}; {others} it", ""
    elif odd.most is not None:
        text = f"{place}: {odd.key} = {value}; usually {usual}, and 95% have up to {present.value(odd.most)}"
    else:
        usual = "" if odd.usual is None else usual
        text = f"{place}: {odd.key} = {value}; {others} {usual or 'none'}"
    return Unusual("attribute", text, odd.row, OF_VALUES * (odd.usual_share - odd.share), value, usual, odd.share)
