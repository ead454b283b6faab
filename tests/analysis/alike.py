"""Trees for tests in which names come again and some spans fail."""

from __future__ import annotations

from hypothesis import strategies as st

from minitrace.analysis.tree import Tree, tree
from minitrace.model import Status, StatusCode
from tests.analysis.growing import traces


@st.composite
def alike_trees(draw: st.DrawFn) -> Tree:
    """Up to a dozen spans in any shape, with two services, two names and two states."""
    trace = draw(traces())
    for span in trace.spans:
        span.name = draw(st.sampled_from("ab"))
        span.status = Status(draw(st.sampled_from([StatusCode.UNSET, StatusCode.ERROR])))
    return tree(trace)
