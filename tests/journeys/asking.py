"""What minitrace answers about what was sent to it, asked as its users ask: over HTTP."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import httpx

from tests.running import Server


@dataclass(frozen=True)
class Sent:
    """A span as ``/api/traces/{id}`` tells it, with what it belongs to."""

    span: dict[str, Any]
    resource: dict[str, Any]
    scope: dict[str, Any]

    @property
    def attributes(self) -> dict[str, Any]:
        """Its attributes, each as one OTLP value: ``{"intValue": "1"}``."""
        return attributes(self.span)

    @property
    def service(self) -> str:
        """The service that sent it."""
        return str(attributes(self.resource)["service.name"]["stringValue"])


def attributes(owner: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a span, event, link, scope or resource by their keys."""
    return {attribute["key"]: attribute["value"] for attribute in owner.get("attributes", [])}


def hex_of(base64_id: str) -> str:
    """An id of Tempo's JSON as everybody else writes it."""
    return base64.b64decode(base64_id).hex()


def search(server: Server, query: str = "{}", limit: int = 20) -> list[dict[str, Any]]:
    """The traces that match, as ``/api/search`` tells them."""
    response = httpx.get(f"{server.url}/api/search", params={"q": query, "limit": limit})
    response.raise_for_status()
    traces: list[dict[str, Any]] = response.json()["traces"]
    return traces


def received(server: Server, trace_id: str) -> list[Sent]:
    """The spans of a trace."""
    response = httpx.get(f"{server.url}/api/traces/{trace_id}")
    response.raise_for_status()
    return [
        Sent(span, batch["resource"], scope_spans["scope"])
        for batch in response.json()["batches"]
        for scope_spans in batch["scopeSpans"]
        for span in scope_spans["spans"]
    ]


def spans(server: Server, trace_id: str) -> dict[str, Sent]:
    """The spans of a trace by their names."""
    return {sent.span["name"]: sent for sent in received(server, trace_id)}


def page(server: Server, path: str) -> str:
    """A page's HTML."""
    response = httpx.get(f"{server.url}{path}", headers={"accept": "text/html"})
    response.raise_for_status()
    return response.text


def arrivals(server: Server) -> str:
    """What the first-run page would show now: the latest trace, and what the receiver saw."""
    with httpx.stream("GET", f"{server.url}/_/welcome/stream") as response:
        lines = response.iter_lines()
        message = []
        while line := next(lines):
            message.append(line.removeprefix("data: "))
    return "\n".join(message)
