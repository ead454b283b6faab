"""Where spans come from, and where they go when the shop runs for real."""

from __future__ import annotations

import os

import httpx
from flask import Flask
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from sqlalchemy import Engine

# The names of attributes that are stable now: http.response.status_code, db.system.name.
os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")
os.environ.setdefault("OTEL_SERVICE_NAME", "shop")  # where start() says nothing else


def start(service: str) -> None:
    """Send this process's spans where OTEL_EXPORTER_OTLP_ENDPOINT says. Tests of functions need no such thing."""
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def instrument(app: Flask, engine: Engine, client: httpx.Client) -> None:
    FlaskInstrumentor().instrument_app(app)  # type: ignore[no-untyped-call]
    SQLAlchemyInstrumentor().instrument(engine=engine)
    HTTPXClientInstrumentor.instrument_client(client)
