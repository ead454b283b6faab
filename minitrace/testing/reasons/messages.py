"""What a failing assertion says: a sentence, what it is about, and the traces.

```
expected one span for { name = "charge" }, found none       what was expected, what was found
  closest names: charge-card                                what it is about
trace f30cd9bf  5 spans  80.3 ms  in-process                where that is
  …
```

At most 60 lines of 120 columns: a terminal shows no more at once, and the first line is all that pytest's summary has.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from minitrace import present
from minitrace.analysis.drawing import cells, fitted, one_line, shortened
from minitrace.model import UNKNOWN_SERVICE, Span
from minitrace.testing import failures
from minitrace.testing.capturing import Circumstances, Snapshot
from minitrace.testing.reasons.alternatives import value_text
from minitrace.testing.reasons.clauses import near_misses
from minitrace.testing.reasons.diagnosis import diagnosis, refusals
from minitrace.testing.reasons.picture import MOST_COLUMNS, MOST_LINES, origins, picture
from minitrace.traceql.ast import Attribute

LEAST_PICTURE = 20  # lines that the traces get, whatever else there is to say
LISTED = 10
TOLD_APART_BY = 2  # attributes
OPEN_NAMED = 4
LONGEST_NAME, LONGEST_TITLE, LONGEST_VALUE = 50, 60, 50
TEXT_COLUMNS = 100


def message(head: str, lines: Iterable[str], snapshot: Snapshot, *, query: str = "") -> str:
    """The whole message. ``{query}`` in the head stands for the query, as much of it as has room on the line."""
    room = MOST_COLUMNS - cells(head.replace("{query}", ""))
    sentence = head.replace("{query}", shortened(one_line(query), room))
    said = [shortened(present.plain(line), MOST_COLUMNS) for line in (sentence, *lines)]
    said = said[: MOST_LINES - LEAST_PICTURE]
    drawn = picture(snapshot.traces(), width=failures.width, most=MOST_LINES - len(said), origins=origins(snapshot))
    return "\n".join([*said, *drawn.splitlines()])


def nothing(head: str, snapshot: Snapshot, query: str, circumstances: Circumstances | None) -> str:
    """The message where a query found nothing: near misses, or why there is no span at all."""
    if not snapshot.seen:
        causes = diagnosis(circumstances).splitlines() if circumstances and not snapshot.open else []
        lines = [*missing(snapshot), *(line for cause in causes for line in wrapped(cause))]
        return message(f"{head}; no span was captured at all", lines, snapshot, query=query)
    refused = refusals(circumstances) if circumstances else ""
    lines = [*near_misses(query, snapshot.traces()), *missing(snapshot), *wrapped(refused)]
    return message(head, lines, snapshot, query=query)


def wrapped(text: str) -> list[str]:
    """A text on as many lines as it takes."""
    return textwrap.wrap(present.plain(text), TEXT_COLUMNS, initial_indent="  ", subsequent_indent="    ")


def aligned(rows: Sequence[tuple[str, int, str]]) -> list[str]:
    """A name, nanoseconds and a remark each, in columns."""
    names = [shortened(name, LONGEST_TITLE) for name, _, _ in rows]
    durations = [present.plain(present.duration(duration_ns)) for _, duration_ns, _ in rows]
    widths = max(map(cells, names), default=0), max(map(len, durations), default=0)
    return [
        f"  {fitted(name, widths[0])}  {duration:>{widths[1]}}  {remark}".rstrip()
        for name, duration, (_, _, remark) in zip(names, durations, rows, strict=True)
    ]


def listed(spans: Sequence[Span]) -> list[str]:
    """The first of these spans, with attributes that tell them apart."""
    shown = spans[:LISTED]
    keys = _telling(shown)
    return aligned([(title(span), span.duration_ns, _attributes(span, keys)) for span in shown]) + more(
        len(spans) - LISTED
    )


def more(count: int) -> list[str]:
    """A line for what is not listed."""
    return [f"  … {present.integer(count)} more"] if count > 0 else []


def title(span: Span, name: str = "") -> str:
    """``payment: POST /charge``, or another name for what it does; alone where the service has no name."""
    name = one_line(name or span.name, LONGEST_NAME) or "(no name)"
    is_named = not span.service.startswith(UNKNOWN_SERVICE)
    return f"{one_line(span.service, LONGEST_NAME)}: {name}" if is_named else name


def missing(snapshot: Snapshot) -> list[str]:
    """The spans that are not known, and what to do."""
    lost = how_much_is_missing(snapshot)
    return [f"  {lost}", *cures(snapshot)] if lost else []


def how_much_is_missing(snapshot: Snapshot) -> str:
    """``2 spans have not ended: charge, render``; "" where all spans are known."""
    parts = []
    if snapshot.open:
        names = dict.fromkeys(one_line(name, LONGEST_NAME) for name in snapshot.open)
        etc = ["…"] if len(names) > OPEN_NAMED else []
        count = present.count(len(snapshot.open), "span has", "spans have")
        parts.append(f"{count} not ended: {', '.join([*names][:OPEN_NAMED] + etc)}")
    if snapshot.dropped:
        parts.append(f"{present.count(snapshot.dropped, 'span was', 'spans were')} dropped")
    return "; ".join(parts)


def cures(snapshot: Snapshot) -> list[str]:
    """What to do about spans that are missing."""
    lines = []
    if snapshot.open:
        lines.append("  a span is captured when it ends: let it end first, or wait with traces.wait_complete()")
    if snapshot.dropped:
        lines.append("  the capture was full: raise minitrace_max_spans, or capture(max_spans=…)")
    return lines


def _telling(spans: Sequence[Span]) -> list[str]:
    """The attributes that tell spans apart best."""
    keys = dict.fromkeys(key for span in spans for key in span.attributes)
    kinds = {key: len({_text(span, key) for span in spans}) for key in keys}
    return sorted((key for key in keys if kinds[key] > 1), key=lambda key: -kinds[key])[:TOLD_APART_BY]


def _attributes(span: Span, keys: Sequence[str]) -> str:
    return "  ".join(f"{Attribute('span', key)} = {_text(span, key)}" for key in keys if key in span.attributes)


def _text(span: Span, key: str) -> str:
    return shortened(value_text(span.attributes.get(key)), LONGEST_VALUE)
