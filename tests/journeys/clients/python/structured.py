"""A program that logs with structlog, a line of JSON each, with the ids of the open span: no exporter of logs."""

from __future__ import annotations

from typing import Any

import structlog  # type: ignore[import-not-found, unused-ignore]
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor


def add_ids(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """A processor of structlog."""
    context = trace.get_current_span().get_span_context()
    return {**event, "trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


def main() -> None:
    """One order, whose card is declined."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
    structlog.configure(processors=[add_ids, structlog.processors.add_log_level, structlog.processors.JSONRenderer()])
    with provider.get_tracer("shop").start_as_current_span("charge"):
        structlog.get_logger().error("card declined", order=7)


main()
