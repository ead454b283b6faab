"""All it takes: minitrace and the SDK are installed, nothing is configured."""

from opentelemetry import trace

from minitrace.testing import Traces

tracer = trace.get_tracer("shop")


def checkout(sku: str) -> None:
    with tracer.start_as_current_span("POST /checkout") as span:
        span.set_attribute("sku", sku)


def test_checkout_is_traced(traces: Traces) -> None:
    checkout("A1")
    assert traces.one('{ name = "POST /checkout" }')["sku"] == "A1"
