"""A trace as Markdown, for an issue, a review or a chat.

````
### `checkout: POST /pay`

`1.24 s` · `71 % in payment's own time` · `1 error`

- Started 2026-11-22T13:03:11.042000Z
- 38 spans: 12 of `checkout`, 9 of `cart`, 17 of `payment`
- Trace `4bf92f3577b34da6a3ce929d0e0e4736`

```
checkout: POST /pay  1.24 s  ━━━━━━━━━━
```

Errors:

- `payment: POST /charge` `CardError`: `card declined`
````

All that comes from telemetry stands in code, where Markdown has no meaning: neither links nor HTML, nor names that
would call people.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from minitrace import present
from minitrace.analysis.drawing import draw, one_line, title
from minitrace.analysis.repeats import Run
from minitrace.analysis.tree import Tree
from minitrace.analysis.verdict import Claim
from minitrace.model import Span

MOST_ERRORS = 10
MOST_SERVICES = 12
MOST_LINES = 60  # of the tree: a chat shows no more, and an issue takes 65 536 characters
LONGEST_MESSAGE = 300
WIDTH = 100


def summary(tree: Tree, *, runs: Sequence[Run] = (), claims: Sequence[Claim] = ()) -> str:
    """The trace as Markdown: title, verdict, facts, tree and errors; ends with a newline. `claims` are its verdict."""
    failed = next((claim.rows for claim in claims if claim.kind == "error"), ())
    parts = [
        f"### {code(_title(tree))}",
        " · ".join(code(claim.text) for claim in claims),
        "\n".join(f"- {fact}" for fact in _facts(tree)),
        fenced(draw(tree, width=WIDTH, runs=runs, most=MOST_LINES)),
        _errors(tree, failed),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def code(text: str) -> str:
    """A text as inline code on one line, between more backticks than stand side by side in it."""
    text = one_line(text) or " "
    ticks = "`" * (_longest_ticks(text) + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{space}{text}{space}{ticks}"


def fenced(text: str) -> str:
    """A text as a block of code, within a fence that it cannot close."""
    fence = "`" * max(3, _longest_ticks(text) + 1)
    return f"{fence}\n{text}\n{fence}"


def exception(span: Span) -> tuple[str, str]:
    """The type and the message of what went wrong in a span, as far as it says; "" where it does not."""
    raised = next((event.attributes for event in reversed(span.events) if event.name == "exception"), {})
    kind = raised.get("exception.type") or span.attributes.get("error.type") or ""
    message = raised.get("exception.message") or span.status.message
    return present.value(kind), present.value(message)


def _longest_ticks(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def _title(tree: Tree) -> str:
    root = next((row for row in tree.tops() if not tree.span(row).parent_id), None)
    return title(tree, root) if root is not None else "root not received"


def _facts(tree: Tree) -> Iterator[str]:
    trace = tree.trace
    if started := present.iso(tree.start_ns):
        yield f"Started {started}"
    services = trace.services.most_common()
    named = [f"{present.plain(present.integer(number))} of {code(name)}" for name, number in services[:MOST_SERVICES]]
    named += [f"{len(services) - MOST_SERVICES} more"] if len(services) > MOST_SERVICES else []
    yield f"{present.plain(present.count(len(trace.spans), 'span'))}: {', '.join(named)}"
    if trace.removed_count:
        yield f"{present.plain(present.count(trace.removed_count, 'span'))} removed to make room"
    yield f"Trace {code(trace.trace_id.hex())}"


def _errors(tree: Tree, rows: Sequence[int]) -> str:
    """A list of what went wrong, the first ones in full; "" if nothing did."""
    lines = [f"- {_error(tree, row)}" for row in rows[:MOST_ERRORS]]
    if len(rows) > MOST_ERRORS:
        lines.append(f"- {present.plain(present.integer(len(rows) - MOST_ERRORS))} more")
    return "\n".join(["Errors:", "", *lines]) if rows else ""


def _error(tree: Tree, row: int) -> str:
    kind, message = exception(tree.span(row))
    said = ": ".join(code(one_line(text, LONGEST_MESSAGE)) for text in (kind, message) if text)
    return f"{code(title(tree, row))} {said}".rstrip()
