"""New products come as a document, and are taken in by an asynchronous pipeline."""

from __future__ import annotations

import asyncio

from opentelemetry import trace

tracer = trace.get_tracer("shop.catalogue")
PICTURES = 4


async def take_in(document: str) -> None:
    """Fetch a document, resize its pictures at the same time, publish it."""
    with tracer.start_as_current_span("take in", attributes={"document": document}):
        await step("fetch")
        await step("parse")
        await asyncio.gather(*(step("resize picture") for _ in range(PICTURES)))
        await step("publish")


async def step(name: str) -> None:
    with tracer.start_as_current_span(name):
        await asyncio.sleep(0.001)
