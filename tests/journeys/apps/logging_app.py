"""A program that uses Python's logging, with OpenTelemetry's handler; prints the id of its trace, and of its span.

The exporters are set up by the usual variables; spans go over HTTP.
"""

from __future__ import annotations

import logging
import os

from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def main() -> None:
    """One order, whose card is declined."""
    resource = Resource.create({"service.name": "shop"})
    traces, logs = TracerProvider(resource=resource), LoggerProvider(resource=resource)
    traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    exporter = GrpcLogExporter if os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] == "grpc" else OTLPLogExporter
    logs.add_log_record_processor(BatchLogRecordProcessor(exporter()))
    log = logging.getLogger("shop.cards")
    log.setLevel(logging.INFO)
    log.addHandler(LoggingHandler(logger_provider=logs))
    log.info("open for business")
    with traces.get_tracer("shop").start_as_current_span("charge") as span:
        log.warning("card %s is slow", 4711, extra={"order": 7})
        try:
            raise ValueError("insufficient funds")
        except ValueError:
            log.exception("card declined")
        context = span.get_span_context()
        print(f"{context.trace_id:032x}", f"{context.span_id:016x}")
    traces.shutdown()
    logs.shutdown()


main()
