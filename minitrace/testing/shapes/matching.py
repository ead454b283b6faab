"""A shape against the spans of a test, and what to say where it does not match.

```
the spans are not of this shape: line 3, charge { span.amount > 0 }: span.amount is 0
the nearest of 2 traces is f30cd9bf:
    POST /orders
      SELECT stock
  ~   charge { span.amount > 0 }   # span.amount is 0
        HTTP POST x1..3
  -   send email
      # others here: notify, audit x2
```
"""

from __future__ import annotations

from collections.abc import Sequence

from minitrace import present
from minitrace.model import Node, Trace
from minitrace.testing.failures import TracesFailure
from minitrace.testing.shapes import selection
from minitrace.testing.shapes.differences import Comparison, Difference, names
from minitrace.testing.shapes.fitting import Matcher
from minitrace.testing.shapes.parser import parse
from minitrace.testing.shapes.shape import SpanShape

__tracebackhide__ = True  # pytest shows the test's own line, and nothing of what is below it

MOST_LINES = 50  # of the comparison
LINES_BEFORE = 12  # of them before the first that differs

_MARKS = {"-": "missing", "+": "not in the shape", "~": "differs"}


def assert_shape(
    traces: Sequence[Trace], shape: str | SpanShape, *, root: str | None = None, strict: bool = False
) -> None:
    """Hold where the spans have this shape.

    `root` says where to begin, by name, pattern or query; without it, anywhere at the top. `strict` forbids all that
    the shape does not name.

    Raises:
        TracesFailure: they have another one; the text shows where it differs.
        ShapeError, TraceQLError: the shape, or a query in it, cannot be read.
    """
    whole = parse(shape) if isinstance(shape, str) else SpanShape("", children=(shape,))
    roots = selection.roots(root, traces)
    matcher = Matcher(traces, strict=strict)
    if not matcher.top(whole, roots).fulfilled():
        if not roots:
            raise TracesFailure(_without_roots(traces, root))
        differences = Comparison(traces, matcher).at_top(whole, roots)
        raise TracesFailure("\n".join([*_said(differences, len(traces)), *_hints(traces, whole, roots, matcher)]))


def _without_roots(traces: Sequence[Trace], root: str | None) -> str:
    if not any(trace.spans for trace in traces):
        return "the spans are not of this shape: no span was captured"
    tops = [node.span for trace in traces for node in trace.tops]
    return f"root={root!r} is no span here; at the top: {names(tops)}"


def _said(differences: Sequence[Difference], trace_count: int) -> list[str]:
    first = next(at for at, found in enumerate(differences) if found.mark != " ")
    start = max(0, first - LINES_BEFORE)
    shown = [f"  {found}" for found in differences[start : start + MOST_LINES]]
    before = ["  …"] if start else []
    left = len(differences) - start - len(shown)
    after = [f"  … {present.plain(present.count(left, 'more line'))}"] if left > 0 else []
    compared = [found.span.trace_id.hex() for found in differences if found.span]
    nearest = [f"the nearest of {trace_count} traces is {compared[0]}:"] if compared and trace_count > 1 else []
    return [_title(differences, first), *nearest, *before, *shown, *after]


def _title(differences: Sequence[Difference], at: int) -> str:
    first = differences[at]
    why = first.remark or _MARKS[first.mark]
    line = f"line {first.shape.line}, " if first.shape and first.shape.line else ""
    above = next((found for found in reversed(differences[:at]) if found.depth < first.depth), None)
    place = f" below {above.text}" if above and not line else ""
    return f"the spans are not of this shape: {line}{first.text}{place}: {why}"


def _hints(traces: Sequence[Trace], whole: SpanShape, roots: Sequence[Node], matcher: Matcher) -> list[str]:
    """Where else the shape would have matched."""
    tops = set(map(id, roots))
    below = [node for trace in traces for node in trace.rows() if id(node) not in tops]
    for line in whole.children:
        if not any(matcher.fits(line, node) for node in roots):
            for node in below:
                if matcher.fits(line, node):
                    return [f"a span below the top is of this shape: begin there with root={node.span.name!r}"]
    return []
