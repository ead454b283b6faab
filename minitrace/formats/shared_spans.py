"""A client's and a server's span that share an id, as two spans: for tools that know a span by its id.

Zipkin's clients with B3 headers do that (see `model.calls`); Jaeger and Tempo part them, too, before they answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from minitrace.model import Span, calls


def parted(spans: Sequence[Span]) -> Sequence[Span]:
    """The same spans of a trace, where servers have an id of their own: the same one each time.

    The client's is the server's parent, and what the server did has the server as its parent.
    """
    servers = {span_id: server for span_id, (_, server) in calls(spans).items()}
    if not servers:
        return spans
    new_ids = {span_id: _own_id(spans[server]) for span_id, server in servers.items()}
    is_server = set(servers.values())
    return [
        replace(span, span_id=new_ids[span.span_id], parent_id=span.span_id)
        if at in is_server
        else replace(span, parent_id=new_ids.get(span.parent_id, span.parent_id))
        for at, span in enumerate(spans)
    ]


def _own_id(server: Span) -> bytes:
    return hashlib.sha256(b"server" + server.trace_id + server.span_id).digest()[:8]
