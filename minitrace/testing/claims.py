"""What tests claim of the spans they captured: a claim holds, or raises with a message that shows why not.

What claims that something did not happen is `Inconclusive` where spans are missing: those that have not ended, and
those that came when the capture was full.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from minitrace import present
from minitrace.analysis import repeats
from minitrace.analysis.drawing import one_line
from minitrace.analysis.signatures import label, text
from minitrace.analysis.summary import exception
from minitrace.analysis.timing import own_stretches
from minitrace.analysis.tree import Tree, tree
from minitrace.model import Span
from minitrace.testing.capturing import Circumstances, Snapshot
from minitrace.testing.failures import Inconclusive, TracesFailure
from minitrace.testing.finding import find as find
from minitrace.testing.reasons.messages import (
    LISTED,
    aligned,
    cures,
    how_much_is_missing,
    listed,
    message,
    missing,
    more,
    nothing,
    title,
)

DATABASE_OR_HTTP = (
    "{ span.db.system.name != nil || span.db.system != nil || span.db.query.text != nil || span.db.statement != nil"
    " || (kind = client && (span.http.request.method != nil || span.http.method != nil)) }"
)
LONGEST_MESSAGE = 160
PLACEHOLDERS = "?$%:@"  # a statement with one of them is another one each time, though it looks alike
SAME = "the same each time: ask once, and keep the answer"
CURES = {
    "SELECT": "one query can get them all: a join, or WHERE … IN (…)",
    **dict.fromkeys(("INSERT", "UPDATE", "DELETE"), "one statement can write them all, or one batch of them"),
}
CURE = "one call for all of them would do, if whoever is called takes several ids"
NAMED = 3  # of the spans that failed along with another

_FRAME = re.compile(r'^\s*File "(?P<file>[^"\n]*)", line (?P<line>\d+), in (?P<name>.*)', re.MULTILINE)
_INSTALLED = re.compile(r"(?:site|dist)-packages[/\\]|[/\\]lib[/\\]python\d|<frozen ")


def one(snapshot: Snapshot, query: str, circumstances: Circumstances) -> Span:
    """The only span that a query finds.

    Raises:
        TracesFailure: it finds none, or several.
    """
    found = find(snapshot, query)
    if len(found) == 1:
        return found[0]
    if not found:
        raise TracesFailure(nothing("expected one span for {query}, found none", snapshot, query, circumstances))
    head = f"expected one span for {{query}}, found {present.integer(len(found))}"
    lines = [*listed(found), "  narrow the query to one of them; traces.find(…) gives them all"]
    raise TracesFailure(message(head, lines, snapshot, query=query))


def timed_out(snapshot: Snapshot, query: str, count: int, waited_s: float, circumstances: Circumstances) -> str:
    """What to say where fewer than `count` spans matched within `waited_s` seconds."""
    found = find(snapshot, query)
    within = f"within {waited_s:.3g} s"
    if not found:
        return nothing(f"no span matched {{query}} {within}", snapshot, query, circumstances)
    head = f"{present.integer(len(found))} of {present.count(count, 'span')} matched {{query}} {within}"
    return message(head, [*listed(found), *missing(snapshot)], snapshot, query=query)


def none(snapshot: Snapshot, query: str) -> None:
    """A query finds no span.

    Raises:
        TracesFailure: it finds some.
        Inconclusive: it finds none, but spans are missing.
    """
    found = find(snapshot, query)
    if found:
        head = f"expected no span for {{query}}, found {present.integer(len(found))}"
        raise TracesFailure(message(head, listed(found), snapshot, query=query))
    _conclude("no span matched {query}", snapshot, query)


# Errors


@dataclass(frozen=True, slots=True)
class _Failure:
    """A failed span with none below it that failed. Above it are its `echoes`; `ignored` ones may be below."""

    span: Span
    depth: int
    echoes: Sequence[Span]
    ignored: Sequence[Span]


def no_errors(snapshot: Snapshot, *, ignore: str | None) -> None:
    """No span has status ERROR, but for those that the query `ignore` finds.

    Raises:
        TracesFailure: some have. The deepest of them come first, as that is where errors come from.
        Inconclusive: none has, but spans are missing.
    """
    ignored = {id(span) for span in find(snapshot, ignore)} if ignore else set()
    failed = {id(span) for span in snapshot.spans if span.is_error} - ignored
    if not failed:
        _conclude("no span has status error", snapshot)
        return
    failures = [failure for trace in snapshot.traces() for failure in _failures(tree(trace), failed)]
    failures.sort(key=lambda failure: (-len(failure.echoes), -failure.depth, failure.span.start_ns))
    told = Counter(tuple(_told(failure)) for failure in failures)
    lines = [line for lines, count in list(told.items())[:LISTED] for line in _counted(count, lines)]
    lines += more(len(told) - LISTED)
    causes = f" with {present.count(len(told), 'cause')}" if len(failed) > 1 else ""
    found = f"{present.count(len(failed), 'failed span')}{causes}: {_said(failures[0].span)}"
    raise TracesFailure(message(f"expected no errors, found {found}", lines, snapshot))


def _failures(rows: Tree, failed: set[int]) -> Iterator[_Failure]:
    """Where the failures of a trace come from."""
    candidates = [row for row in range(len(rows)) if id(rows.span(row)) in failed]
    above: set[int] = set()
    for row in candidates:
        while (row := rows.parents[row]) >= 0 and row not in above:
            above.add(row)
    for row in candidates:
        if row not in above:
            echoes = [span for span in _above(rows, row) if id(span) in failed]
            below = (rows.span(other) for other in range(row + 1, row + rows.sizes[row]))
            yield _Failure(rows.span(row), rows.nodes[row].depth, echoes, [span for span in below if span.is_error])


def _above(rows: Tree, row: int) -> Iterator[Span]:
    while (row := rows.parents[row]) >= 0:
        yield rows.span(row)


def _told(failure: _Failure) -> Iterator[str]:
    """Lines about a failure: the span, where its exception was raised, and who else failed for it."""
    yield _said(failure.span)
    if place := _raised_at(failure.span):
        yield f"    raised at {place}"
    if failure.echoes:
        yield f"    failed above it: {_named(failure.echoes, _error(failure.span))}"
    if failure.ignored:
        yield f"    failed below it, and ignored: {_named(failure.ignored)}"


def _counted(count: int, lines: Sequence[str]) -> Iterator[str]:
    """Lines about failures that are told alike."""
    yield f"  {count} × {lines[0]}" if count > 1 else f"  {lines[0]}"
    yield from lines[1:]


def _named(spans: Sequence[Span], told: str = "") -> str:
    """Some failed spans, with what they say of it beyond what was told already."""
    names: list[str] = []
    for span in spans[:NAMED]:
        error = _error(span)
        is_news = error and not any(error in known for known in (told, *names))
        names.append(f"{title(span)} ({error})" if is_news else title(span))
    return ", ".join([*names, "…"] if len(spans) > NAMED else names)


def _said(span: Span) -> str:
    """A failed span and what it says of it: ``payment: charge failed with CardError: card declined``."""
    return f"{title(span)} failed {f'with {error}' if (error := _error(span)) else 'without a message'}"


def _error(span: Span) -> str:
    """``CardError: card declined``; "" where it says nothing."""
    return one_line(": ".join(filter(None, exception(span))), LONGEST_MESSAGE)


def _raised_at(span: Span) -> str:
    """Where Python's stack trace of an exception ends, in code that is not installed if it has any; "" for none."""
    stacks = (event.attributes.get("exception.stacktrace") for event in reversed(span.events))
    stack = next((stack for stack in stacks if isinstance(stack, str)), "")
    frames = list(_FRAME.finditer(stack))
    own = [frame for frame in frames if not _INSTALLED.search(frame["file"])]
    return next(
        (one_line("{file}:{line} in {name}".format(**f.groupdict()), LONGEST_MESSAGE) for f in (own or frames)[::-1]),
        "",
    )


# N+1


def no_n_plus_one(snapshot: Snapshot, *, threshold: int = 3, query: str = DATABASE_OR_HTTP) -> None:
    """No span has `threshold` alike calls, or more, right below it, of those that the query finds.

    Calls are alike if they have the same service, kind, and statement or address but for literals and ids.

    Raises:
        TracesFailure: some span has.
        Inconclusive: none has, but spans are missing.
    """
    wanted = {id(span) for span in find(snapshot, query)}
    found = [repeat for trace in snapshot.traces() for repeat in _repeats(tree(trace), wanted, threshold)]
    if not found:
        _conclude("no N+1 was found", snapshot)
        return
    found.sort(key=lambda repeat: len(repeat.calls), reverse=True)
    lines = [line for repeat in found[:LISTED] for line in repeat.lines()] + more(len(found) - LISTED)
    calls = f"{threshold} alike calls below one span"
    head = f"expected no N+1 ({calls}), found {found[0].name} below {found[0].parent}"
    raise TracesFailure(message(head, lines, snapshot))


@dataclass(frozen=True, slots=True)
class _Repeat:
    """Alike calls below one parent, in order."""

    calls: Sequence[Span]
    label: str
    parent: str

    @property
    def name(self) -> str:
        """``50 × SELECT item``"""
        return f"{present.integer(len(self.calls))} × {self.label}"

    def lines(self) -> Iterator[str]:
        """What they are, the first and the last of them, and what to do."""
        total = present.duration(sum(span.duration_ns for span in self.calls))
        yield f"  {self.name} below {self.parent}, {total} in all"
        first, last = (one_line(text(span), LONGEST_MESSAGE) for span in (self.calls[0], self.calls[-1]))
        yield from [f"    each {first}"] if first == last else [f"    first {first}", f"    last  {last}"]
        is_same = first == last and not any(sign in first for sign in PLACEHOLDERS)
        yield f"    {SAME if is_same else CURES.get(first[:6].upper(), CURE)}"


def _repeats(rows: Tree, wanted: set[int], threshold: int) -> Iterator[_Repeat]:
    for run in repeats.runs(rows, threshold):
        calls = [rows.span(row) for row in run.rows if id(rows.span(row)) in wanted]
        if len(calls) >= threshold and calls[0].parent_id:
            parent = title(rows.span(run.parent)) if run.parent >= 0 else "a span that was not captured"
            yield _Repeat(calls, run.label, parent)


# Budgets


def budget(snapshot: Snapshot, query: str, *, max_ns: int | None, count: int | None, self_time: bool) -> None:
    """The spans that a query finds are at most `count`, and take at most `max_ns` nanoseconds together.

    That is time on the clock: the time during which at least one of them ran. Where several ran at once, or within
    each other, it counts once, so that it is never more than the test took. With `self_time` only the time counts in
    which a span worked itself, that is, no child of it ran.

    Raises:
        TracesFailure: they are more, or take longer; or there is none whose time could be compared.
        Inconclusive: they keep to it, but spans are missing.
    """
    found = find(snapshot, query)
    if count is not None and len(found) > count:
        too_many = present.integer(len(found) - count)
        head = f"expected at most {present.count(count, 'span')} for {{query}}, found {len(found)}: {too_many} too many"
        raise TracesFailure(message(head, _shares(_times(snapshot, found, self_time)), snapshot, query=query))
    if max_ns is not None:
        _keep_within(max_ns, snapshot, query, found, self_time)
    _conclude("{query} kept to its budget", snapshot, query)


def _keep_within(max_ns: int, snapshot: Snapshot, query: str, found: Sequence[Span], self_time: bool) -> None:
    limit = present.duration(max_ns)
    if not found:
        head = f"no span matched {{query}}, so there is no time to compare with the budget of {limit}"
        raise TracesFailure(nothing(head, snapshot, query, None))
    times = _times(snapshot, found, self_time)
    took_ns = _covered_ns(stretch for time in times for stretch in time.stretches)
    if took_ns > max_ns:
        over = present.duration(took_ns - max_ns)
        own = " of its own" if self_time else ""
        head = f"{{query}} took {present.duration(took_ns)}{own}, {over} more than the budget of {limit}"
        note = ["  what ran at the same time counts once"] if len(found) > 1 else []
        raise TracesFailure(message(head, [*_shares(times), *note], snapshot, query=query))


@dataclass(frozen=True, slots=True)
class _Time:
    """When a span ran, or worked itself: from when to when, in nanoseconds since 1970."""

    span: Span
    stretches: Sequence[tuple[int, int]]


def _times(snapshot: Snapshot, found: Sequence[Span], self_time: bool) -> list[_Time]:
    """When each of these spans ran, in order of start."""
    wanted = {id(span) for span in found}
    times = []
    for trace in snapshot.traces():
        rows = tree(trace)
        for row in range(len(rows)):
            if id(rows.span(row)) in wanted:
                own = own_stretches(rows, row) if self_time else [(rows.begins[row], rows.ends[row])]
                times.append(
                    _Time(rows.span(row), [(rows.start_ns + begin, rows.start_ns + end) for begin, end in own])
                )
    return times


def _covered_ns(stretches: Iterable[tuple[int, int]]) -> int:
    """How long at least one of these was going on."""
    total = reached = 0
    for begin, end in sorted(stretches):
        total += max(end - max(begin, reached), 0)
        reached = max(reached, end)
    return total


def _shares(times: Sequence[_Time]) -> list[str]:
    """Which spans took it, alike ones together, the longest first."""
    by_title: dict[str, list[_Time]] = {}
    for time in times:
        by_title.setdefault(title(time.span, label(time.span)), []).append(time)
    taken = {name: _covered_ns(s for time in some for s in time.stretches) for name, some in by_title.items()}
    longest = sorted(taken, key=taken.__getitem__, reverse=True)
    counts = {name: f"{present.integer(len(some))} × " if len(some) > 1 else "" for name, some in by_title.items()}
    return aligned([(counts[name] + name, taken[name], "") for name in longest[:LISTED]]) + more(len(longest) - LISTED)


# What is not there


def _conclude(claim: str, snapshot: Snapshot, query: str = "") -> None:
    """Let a claim that something is not there stand, unless spans are missing."""
    if lost := how_much_is_missing(snapshot):
        raise Inconclusive(message(f"INCONCLUSIVE: {claim}, but {lost}", cures(snapshot), snapshot, query=query))
