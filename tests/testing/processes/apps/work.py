"""What children of multiprocessing do."""

from __future__ import annotations

import os
from multiprocessing import get_context

from opentelemetry import trace

TRACER = trace.get_tracer("work")


def work(number: int) -> int:
    """A span, made through OpenTelemetry's API and without any provider; returns the id of the process."""
    with TRACER.start_as_current_span("work", attributes={"number": number}):
        return os.getpid()


def work_below(method: str, number: int) -> None:
    """A span in a child of the child."""
    child = get_context(method).Process(target=work, args=(number,))  # type: ignore[attr-defined]
    child.start()
    child.join()


def export(number: int) -> None:
    """A span in a program that sets up its own SDK and exporter."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
    provider.get_tracer("export").start_span("export", attributes={"number": number}).end()
    provider.shutdown()
