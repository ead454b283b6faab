"""What is most telling about two traces, or two sets of them, in sentences.

```
stock: SELECT stock: 1 → 14 calls
payment: INSERT charges: 12 → 210 ms
only in B: cart: GET /rates, 31 ms
```

Causes, and not their echoes: a call is slower if its own time is, without what its children took; more calls below more
calls are no news, nor is the own time of the loop that makes them; of what only one side has, the top is named.

What is small, or may be chance, is not named: sets of traces are judged by their medians, and one trace must differ
from another by much more than sets do. What may be chance all the same comes last, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from minitrace import present
from minitrace.analysis.alignment import Aligned
from minitrace.analysis.contrasts import Contrast, apart, contrasts, origins
from minitrace.analysis.noise import is_id
from minitrace.analysis.operations import Change
from minitrace.analysis.signatures import shortened

MOST = 5
FEW = 10  # traces, of which a median says little
VERY_FEW = 3  # of which nothing is certain but what a call did more often
LEAST_NS = 1_000_000  # a millisecond is hardly the reason
LEAST_SHARE = 0.03  # of the root operation's time
LEAST_RATIO = 1.25  # between medians
LEAST_RATIO_OF_FEW = 2.0
# Of few traces, a call must be so many times as long, times its share of the whole, to be named: four times as long if
# that is a fifth of the trace. Latencies have long tails, and twice as long is what chance does.
LEAST_WEIGHT_OF_FEW = 0.75
CERTAIN_RATIO = 8.0  # of few traces: more than that is hardly chance
LEAST_CALLS_RATIO = 1.5
MANY = 5  # more calls are worth a sentence, however quick they are
LEAST_PRESENCE = 0.1  # in another tenth of the traces
LEAST_ERRORS = 0.05  # errors in another twentieth of the traces


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence about one row of what was compared.

    `kind` is one of error, only_a, only_b, calls, slower, faster, resource. `weight` is about how many nanoseconds of a
    trace it explains. One that is not certain may be chance.
    """

    kind: str
    text: str
    row: int
    weight: float
    is_certain: bool = True


def findings(compared: Sequence[Aligned] | Sequence[Change]) -> list[Finding]:
    """At most 5, the most telling first; none where nothing differs by more than chance.

    `compared` are the rows of two traces, or the changes between two sets.
    """
    found = _Judge(contrasts(compared)).findings()
    found += [
        finding for place, row in enumerate(compared) if isinstance(row, Aligned) for finding in _told(place, row)
    ]
    return sorted(found, key=lambda finding: (not finding.is_certain, -finding.weight))[:MOST]


class _Judge:
    """Goes through contrasts from the top down, so that what is found can silence its echoes below."""

    def __init__(self, found: list[Contrast]) -> None:
        self._contrasts = {contrast.row: contrast for contrast in found}
        self._moved: set[int] = set()  # rows that are there, or not, where they were not before; and all below
        failing = {row for row, contrast in self._contrasts.items() if _fails_otherwise(contrast)}
        self._failing = origins(self._contrasts, failing)

    def findings(self) -> list[Finding]:
        """What is worth a sentence, in no order."""
        found = list(self._all())
        calls: dict[int, float] = {}  # what other or failed calls explain, by what is above them
        for finding in found:
            if finding.kind not in ("slower", "faster"):
                above = self._contrasts[finding.row].above
                calls[above] = max(calls.get(above, 0), finding.weight)
        return [each for each in found if each.kind not in ("slower", "faster") or each.weight > calls.get(each.row, 0)]

    def _all(self) -> Iterator[Finding]:
        appeared: dict[tuple[int, str], list[Contrast]] = {}  # by what they are below, and where
        for contrast in self._contrasts.values():
            is_echo = contrast.above in self._moved or _is_asked_otherwise(contrast)
            if is_echo or _is_there_otherwise(contrast):
                self._moved.add(contrast.row)
            if contrast.row in self._failing:
                yield _error(contrast)
            elif is_echo:
                continue
            elif contrast.row in self._moved:
                appeared.setdefault((contrast.above, _where(contrast)), []).append(contrast)
            else:
                yield from self._calls(contrast)
                yield from _time(contrast)
        for alike in appeared.values():
            yield _presence(alike)

    def _calls(self, contrast: Contrast) -> Iterator[Finding]:
        """More or fewer calls in a trace, by each call of the parent."""
        a, b = contrast.a, contrast.b
        if not (a.calls_per_trace and b.calls_per_trace and apart(a.calls, b.calls)):
            return
        above = self._contrasts.get(contrast.above)
        ratio = b.calls_per_trace / a.calls_per_trace
        if above and above.a.calls_per_trace and above.b.calls_per_trace:
            ratio *= above.a.calls_per_trace / above.b.calls_per_trace
        more = abs(b.calls.p50 - a.calls.p50)
        weight = more * (b if b.calls.p50 > a.calls.p50 else a).duration_ns
        if max(ratio, 1 / ratio) >= LEAST_CALLS_RATIO and (more >= MANY or _is_large(contrast, weight)):
            figures = f"{present.integer(a.calls.p50)} → {present.count(b.calls.p50, 'call')}"
            per_trace = " a trace" if contrast.is_of_sets else ""
            yield Finding("calls", f"{contrast.title}: {figures}{per_trace}{_counts(contrast)}", contrast.row, weight)


# What differs


def _is_asked_otherwise(contrast: Contrast) -> bool:
    """Whether only one of two sets has traces of this root operation: that is a matter of what was asked for."""
    return not (contrast.a.trace_count and contrast.b.trace_count)


def _is_there_otherwise(contrast: Contrast) -> bool:
    return contrast.is_there_otherwise and abs(contrast.a.share - contrast.b.share) >= LEAST_PRESENCE


def _fails_otherwise(contrast: Contrast) -> bool:
    return contrast.fails_otherwise and abs(contrast.a.error_share - contrast.b.error_share) >= LEAST_ERRORS


def _is_large(contrast: Contrast, weight: float) -> bool:
    """Whether so many nanoseconds are a part of the whole that matters."""
    return weight >= max(LEAST_NS, contrast.longest_ns * LEAST_SHARE)


def _is_of_few(contrast: Contrast) -> bool:
    return min(contrast.a.trace_count, contrast.b.trace_count) < FEW


def _is_of_very_few(contrast: Contrast) -> bool:
    return contrast.is_of_sets and min(contrast.a.trace_count, contrast.b.trace_count) < VERY_FEW


def _time(contrast: Contrast) -> Iterator[Finding]:
    """A call takes longer, or less long, by its own work."""
    a, b = contrast.a, contrast.b
    if not (a.calls_per_trace and b.calls_per_trace and apart(a.own_ns, b.own_ns)):
        return
    low, high = sorted((a.own_ns.p50, b.own_ns.p50))
    weight = (high - low) * min(a.calls_per_trace, b.calls_per_trace)
    if _is_large(contrast, weight) and _is_longer(contrast, low, high, weight):
        own = "" if contrast.is_leaf else "own time "
        is_certain = not _is_of_few(contrast) or high >= low * CERTAIN_RATIO
        text = f"{contrast.title}: {own}{_arrow(a.own_ns.p50, b.own_ns.p50)}{_counts(contrast, is_certain=is_certain)}"
        kind = "slower" if b.own_ns.p50 > a.own_ns.p50 else "faster"
        yield Finding(kind, text, contrast.row, weight, is_certain)


def _is_longer(contrast: Contrast, low: int, high: int, weight: float) -> bool:
    """Whether one time is so much longer than the other that it is no chance."""
    if not _is_of_few(contrast):
        return high >= low * LEAST_RATIO
    ratio = high / max(low, 1)
    return ratio >= LEAST_RATIO_OF_FEW and ratio * weight >= LEAST_WEIGHT_OF_FEW * contrast.longest_ns


def _where(contrast: Contrast) -> str:
    """On which sides it is."""
    return ("A" if contrast.a.share else "") + ("B" if contrast.b.share else "")


def _presence(siblings: list[Contrast]) -> Finding:
    """Operations below one that only one side has, or that many more traces of one side have."""
    weights = {contrast.row: abs(contrast.b.total_ns - contrast.a.total_ns) for contrast in siblings}
    contrast = max(siblings, key=lambda contrast: weights[contrast.row])
    others = f" and {present.count(len(siblings) - 1, 'other')}" if len(siblings) > 1 else ""
    weight, where = sum(weights.values()), _where(contrast)
    if where == "AB":
        shares = f"{present.share(contrast.a.share, 1)} → {present.share(contrast.b.share, 1)}"
        text = f"{contrast.title}{others}: in {shares} of the traces"
    else:
        calls = (contrast.a if where == "A" else contrast.b).calls.p50
        many = "" if calls <= 1 else f"{present.integer(calls)} × "
        text = f"only in {where}: {many}{contrast.title}{others}, {present.duration(round(weight))}"
    kind = {"A": "only_a", "B": "only_b"}.get(where, "calls")
    is_certain = not _is_of_very_few(contrast)
    return Finding(kind, text + _counts(contrast, is_certain=is_certain), contrast.row, weight, is_certain)


def _error(contrast: Contrast) -> Finding:
    a, b, is_certain = contrast.a, contrast.b, not _is_of_very_few(contrast)
    if not contrast.is_of_sets:
        text = f"fails only in {'A' if a.error_share > b.error_share else 'B'}: {contrast.title}"
        weight = float(contrast.longest_ns)
    else:
        shares = f"{present.share(a.error_share, 1)} → {present.share(b.error_share, 1)}"
        text = f"{contrast.title}: errors in {shares} of the traces{_counts(contrast, is_certain=is_certain)}"
        weight = abs(b.error_share - a.error_share) * contrast.longest_ns
    return Finding("error", text, contrast.row, weight, is_certain)


def _told(place: int, row: Aligned) -> Iterator[Finding]:
    """What services say of themselves: another version, another machine."""
    for each in row.differences:
        if each.scope == "resource" and not any(is_id(each.key, value) for value in (*each.a, *each.b)):
            a, b = (
                ", ".join(shortened(present.value(value)) for value in values) or "none" for values in (each.a, each.b)
            )
            yield Finding("resource", f"{shortened(row.service)}: {each.key} {a} → {b}", place, 0.0)


# Words


def _arrow(a_ns: int, b_ns: int) -> str:
    """``12 → 210 ms``: the unit once where it is the same."""
    a, b = present.duration(a_ns), present.duration(b_ns)
    number, _, unit = a.partition(present.THIN_SPACE)
    return f"{number if unit and b.endswith(present.THIN_SPACE + unit) and ' ' not in b else a} → {b}"


def _counts(contrast: Contrast, *, is_certain: bool = True) -> str:
    """How many traces sets say it by; with care, where it may be chance."""
    counts = f"{present.integer(contrast.a.trace_count)} and {present.integer(contrast.b.trace_count)} traces"
    if contrast.is_of_sets:
        return f" ({counts})" if is_certain else f" (only {counts}: may be chance)"
    return "" if is_certain else " (may be chance)"
