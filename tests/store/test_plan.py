"""What the store looks for, for every query of the corpus: `plans.txt` is there to be read.

After a change of the planner: ``python -m tests.store.test_plan > tests/store/plans.txt``, and read the difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from minitrace.store.plan import plan
from minitrace.traceql.ast import Pipeline
from minitrace.traceql.metrics import metrics_pipelines
from minitrace.traceql.parser import parse
from tests.store.asking import pipeline
from tests.traceql.test_corpus import CORPUS

PLANS = Path(__file__).with_name("plans.txt")


def planned() -> Iterator[str]:
    """Each query, and below it the plans of its pipelines."""
    for line in (CORPUS / "valid.traceql").read_text(encoding="utf-8").splitlines():
        yield line
        if not line or line.startswith("// "):
            continue
        query = parse(line)
        pipelines = [query.root] if isinstance(query.root, Pipeline) else [p.pipeline for p in metrics_pipelines(query)]
        yield from (f"    {plan(one)}" for one in pipelines)


def test_the_plans_of_the_corpus_are_those_that_were_read() -> None:
    assert "\n".join(planned()).split("\n") == PLANS.read_text(encoding="utf-8").rstrip("\n").split("\n")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ('{ .a = "x" }', 'span.a = "x" or (resource.a = "x" and not has span.a)'),
        ("{ span.a = 1 && duration > 1s }", "span.a = 1 and duration_ns > 1000000000"),
        ("{ !(span.a = 1) }", "not span.a = 1"),
        ("{ span.a = 1 } >> { span.b = 2 }", "span.a = 1 with span.b = 2, on 2 spans, then evaluate"),
        ("{ } >> { span.b = 2 }", "span.b = 2, then evaluate"),  # on two spans, but of one of them nothing is known
        ("({ span.a = 1 } || { }) >> { span.b = 2 }", "span.b = 2, then evaluate"),
        ("{ span.a = 1 } !>> { span.b = 2 }", "span.b = 2, then evaluate"),
        ("{ span.a = 1 } || { span.b = 2 }", "span.a = 1 or span.b = 2, then evaluate"),
        ("{ span.a = 1 } | { span.b = 2 } | select(.c)", "span.a = 1 and span.b = 2"),
        ("{ span.a = 1 || rootName = `x` }", "all, then evaluate"),
        ("{ span.a = 1 && rootName = `x` }", 'span.a = 1 and rootName = "x"'),
        ("{ span.a > span.b }", "has span.a and has span.b and any, then evaluate"),
        ("{ event.a = 1 && event.b = 2 }", "event.a = 1 and event.b = 2 and any, then evaluate"),
        ("({ span.a = 1 } | count()) > 1", "all, then evaluate"),
        ("{ false }", "nothing"),
    ],
)
def test_plans(query: str, said: str) -> None:
    assert str(plan(pipeline(query))) == said


if __name__ == "__main__":
    print("\n".join(planned()))
