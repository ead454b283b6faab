"""The trace, made with OpenTelemetry's SDK; prints its id.

python otel.py MODULE CLASS                  with this exporter, set up by the usual variables
opentelemetry-instrument python otel.py      with whatever the variables choose
"""

from __future__ import annotations

import importlib
import sys

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode


def export_with(module: str, name: str) -> None:
    """Set up the SDK as its manual says."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(getattr(importlib.import_module(module), name)()))
    trace.set_tracer_provider(provider)


def main() -> None:
    """One order, whose card has expired. The SDK exports at exit."""
    if sys.argv[1:]:
        export_with(*sys.argv[1:])
    tracer = trace.get_tracer("shop", "1.2.3")
    with (
        tracer.start_as_current_span("checkout", kind=SpanKind.SERVER) as checkout,
        tracer.start_as_current_span("charge", kind=SpanKind.CLIENT) as charge,
        tracer.start_as_current_span("authorize") as authorize,
    ):
        charge.set_attributes({"retries": 3, "ratio": 0.25, "vip": True, "items": ["book", "pen"]})
        authorize.add_event("declined", {"attempt": 2})
        authorize.set_status(StatusCode.ERROR, "card expired")
    print(f"{checkout.get_span_context().trace_id:032x}")


if __name__ == "__main__":
    main()
