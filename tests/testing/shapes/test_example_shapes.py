"""The shape of a request, and the text of a pipeline, as a test writes them down."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from minitrace.testing import TracesFailure, capture, providers, span


@pytest.fixture(scope="module")
def tracer() -> trace.Tracer:
    provider = TracerProvider(shutdown_on_exit=False)
    providers.attach(provider)
    return provider.get_tracer("app", "1.0")


def order(tracer: trace.Tracer, items: int) -> None:
    with tracer.start_as_current_span("POST /orders"):
        with tracer.start_as_current_span("SELECT stock"):
            pass
        with tracer.start_as_current_span("charge", attributes={"amount": 7 * items}):
            for _ in range(items):
                with tracer.start_as_current_span("HTTP POST"):
                    pass


SHAPE = """
    POST /orders
      SELECT stock
      charge { span.amount > 0 }
        HTTP POST x1..3
      ? send email
"""


def test_the_shape_of_a_request_as_text(tracer: trace.Tracer) -> None:
    with capture() as traces:
        order(tracer, items=3)
    traces.assert_tree(SHAPE)
    traces.assert_tree(traces.tree(attrs=["amount"]), strict=True)


def test_the_shape_of_a_request_that_is_not_like_that(tracer: trace.Tracer) -> None:
    with capture() as traces:
        order(tracer, items=4)
    with pytest.raises(TracesFailure, match=r"line 4, HTTP POST x1\.\.3: there 4 times"):
        traces.assert_tree(SHAPE)


def test_the_shape_of_a_request_as_objects(tracer: trace.Tracer) -> None:
    with capture() as traces:
        order(tracer, items=2)
    charge = span("charge", attrs={"amount": pytest.approx(14)}, children=[span("HTTP POST", times=range(1, 4))])
    traces.assert_tree(span("POST /orders", children=[span("SELECT stock"), charge]), strict=True)


def test_the_text_of_a_pipeline(tracer: trace.Tracer) -> None:
    async def step(name: str) -> None:
        with tracer.start_as_current_span(name):
            await asyncio.sleep(0)

    async def pipeline(document: str) -> None:
        with tracer.start_as_current_span("pipeline", attributes={"doc.id": document}):
            await step("fetch")
            await step("parse")
            await asyncio.gather(*(step("embed") for _ in range(4)))
            await step("index")

    with capture() as traces:
        asyncio.run(pipeline("doc-1"))
    assert (
        traces.tree(attrs=["doc.id"])
        == """\
pipeline doc.id=doc-1
  fetch
  parse
  embed x4
  index
"""
    )
