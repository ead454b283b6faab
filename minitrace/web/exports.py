"""A trace to take along, made from all that is stored of it.

| address                                | answers                                            |
|----------------------------------------|----------------------------------------------------|
| `/trace/{trace_id}/otlp.json`          | OTLP/JSON, or protobuf; any backend takes it again |
| `/trace/{trace_id}/jaeger.json`        | Jaeger's JSON, which its UI takes as a file        |
| `/trace/{trace_id}/tree.txt`           | the tree as text                                   |
| `/trace/{trace_id}/summary.md`         | Markdown for an issue or a chat                    |
| `/trace/{trace_id}/saved.html`         | one file: waterfall, find and details, from a disk |

`?download=1` makes a file of each, `?pretty=1` lines of the OTLP/JSON; `?width=` is that of the text, in cells.
`?skew=raw` and `?runs=0` mean what they mean on the page.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from minitrace.analysis import repeats
from minitrace.analysis.drawing import draw
from minitrace.analysis.repeats import Run
from minitrace.analysis.skew import shifts
from minitrace.analysis.summary import summary
from minitrace.analysis.tree import Tree, tree
from minitrace.analysis.verdict import verdict
from minitrace.model import Trace
from minitrace.otlp import http
from minitrace.otlp.encode import encode_export
from minitrace.otlp.http import PROTOBUF
from minitrace.web import saved
from minitrace.web.documents import Format, document, traces_json
from minitrace.web.log_lines import lines
from minitrace.web.named import slots_of, store_of, trace_id_of
from minitrace.web.parameters import read_number
from minitrace.web.view import View, read_view
from minitrace.web.wanted import while_wanted

WIDEST = 400  # cells


@dataclass(frozen=True, slots=True)
class Outline:
    """What the texts are made from."""

    tree: Tree
    runs: list[Run]


@while_wanted
async def otlp(request: Request) -> Response:
    """All spans as a TracesData message in OTLP/JSON; in protobuf for who asks for that, as our own programs do."""
    trace = await _trace(request)
    if http.media_type(request.headers.get("accept", "")) == PROTOBUF:
        return Response(await asyncio.to_thread(encode_export, trace.spans), media_type=PROTOBUF)
    pieces = traces_json(trace.spans, is_pretty=request.query_params.get("pretty") == "1")
    return StreamingResponse(pieces, media_type="application/json", headers=_headers(request, "json"))


@while_wanted
async def jaeger(request: Request) -> Response:
    """All spans as Jaeger's API answers them."""
    trace = await _trace(request)
    pieces = document([trace.spans], Format.JAEGER)
    return StreamingResponse(pieces, media_type="application/json", headers=_headers(request, "jaeger.json"))


@while_wanted
async def tree_text(request: Request) -> Response:
    """The tree as text."""
    width = read_number(request.query_params, "width", 100, high=WIDEST)
    trace = await _trace(request)

    def text() -> str:
        outline = _outline(trace, read_view(request.query_params.multi_items()))
        return draw(outline.tree, width=width, runs=outline.runs) + "\n"

    return Response(await asyncio.to_thread(text), media_type="text/plain", headers=_headers(request, "txt"))


@while_wanted
async def markdown(request: Request) -> Response:
    """What happened, in Markdown."""
    trace = await _trace(request)

    def text() -> str:
        outline = _outline(trace, read_view(request.query_params.multi_items()))
        return summary(outline.tree, runs=outline.runs, claims=verdict(outline.tree))

    return Response(await asyncio.to_thread(text), media_type="text/markdown", headers=_headers(request, "md"))


@while_wanted
async def saved_file(request: Request) -> Response:
    """The trace as one HTML file. Always a download: our own Content-Security-Policy would stop its script here."""
    store, traces, view = store_of(request), request.app.state.opened, read_view(request.query_params.multi_items())
    known = await store.summary(trace_id_of(request))
    opened = await traces.open(store, known, has_runs=view.has_runs, is_adjusted=view.is_adjusted)
    trace, slots = await store.trace(known.trace_id), await slots_of(store)
    said = lines(await store.trace_logs(known.trace_id))

    def pieces() -> Iterator[bytes]:
        outline = _outline(trace, view)
        text, now_ns = draw(outline.tree, runs=outline.runs), time.time_ns()
        for piece in saved.document(known, opened, trace.spans, text=text, slots=slots, now_ns=now_ns, said=said):
            yield piece.encode("utf-8", "replace")

    return StreamingResponse(pieces(), media_type="text/html", headers=_headers(request, "html", is_file=True))


def _outline(trace: Trace, view: View) -> Outline:
    """The tree and the runs to fold in it."""
    rows = tree(trace, shifts(trace) if view.is_adjusted else None)
    return Outline(rows, repeats.runs(rows) if view.has_runs else [])


async def _trace(request: Request) -> Trace:
    return await store_of(request).trace(trace_id_of(request))


def _headers(request: Request, ending: str, *, is_file: bool = False) -> dict[str, str]:
    """Makes a browser keep the answer as a file, where that is asked for."""
    if not is_file and request.query_params.get("download") != "1":
        return {}
    name = f"trace-{trace_id_of(request).hex()[:8]}.{ending}"
    return {"Content-Disposition": f'attachment; filename="{name}"'}


routes = [
    Route("/trace/{trace_id}/otlp.json", otlp),
    Route("/trace/{trace_id}/jaeger.json", jaeger),
    Route("/trace/{trace_id}/tree.txt", tree_text),
    Route("/trace/{trace_id}/summary.md", markdown),
    Route("/trace/{trace_id}/saved.html", saved_file),
]
