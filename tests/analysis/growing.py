"""Trees for tests: small ones of every shape, and the two that recursion and squares do not survive."""

from __future__ import annotations

from hypothesis import strategies as st

from minitrace.analysis.tree import Tree, tree
from minitrace.model import Kind, Resource, Span, Trace
from tests.samples import T0, TRACE, span, span_id

MANY = 20_000
RESOURCES = [Resource({"service.name": name}) for name in ("shop", "cart")]


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Up to a dozen spans within 40 ns, below any span before them or an absent one; some have no times."""
    spans: list[Span] = []
    for index in range(draw(st.integers(0, 12))):
        start = draw(st.integers(0, 25))
        length = draw(st.integers(0, 15))
        spans.append(
            span(
                f"{index}",
                parent_id=draw(st.sampled_from([b"", span_id("absent"), *(above.span_id for above in spans)])),
                start_ns=draw(st.sampled_from([T0 + start] * 9 + [0])),
                end_ns=T0 + start + length,
                kind=draw(st.sampled_from([Kind.INTERNAL, Kind.SERVER, Kind.CLIENT, Kind.PRODUCER, Kind.CONSUMER])),
                resource=draw(st.sampled_from(RESOURCES)),
            )
        )
    return Trace(TRACE, spans)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """The rows of such a trace, some of them moved: siblings are then in no order."""
    return tree(draw(traces()), draw(st.dictionaries(st.integers(0, 11), st.integers(-9, 9), max_size=3)))


def grown(*spans: Span) -> Tree:
    """The rows of these spans."""
    return tree(Trace(TRACE, spans))


def chain(count: int = MANY) -> Trace:
    """Spans each below the one before: 0 begins 1 ns before 1 and ends 1 ns after it."""
    return Trace(TRACE, [_one(index, index - 1, begin=index, end=2 * count - index) for index in range(count)])


def fan(count: int = MANY) -> Trace:
    """Children of one span, each of 1 ns, 1 ns apart from the next."""
    children = [_one(index, 0, begin=2 * index, end=2 * index + 1) for index in range(1, count + 1)]
    return Trace(TRACE, [_one(0, -1, begin=0, end=2 * count + 2), *children])


def _one(index: int, parent: int, *, begin: int, end: int) -> Span:
    above = span_id(f"{parent}") if parent >= 0 else b""
    return span(f"{index}", start_ns=T0 + begin, end_ns=T0 + end, parent_id=above)


def named(rows: Tree, *wanted: int) -> list[str]:
    """The names of rows."""
    return [rows.span(row).name for row in wanted]


def moments(rows: Tree, row: int) -> set[int]:
    """The nanoseconds during which a row ran."""
    return set(range(rows.begins[row], rows.ends[row]))
