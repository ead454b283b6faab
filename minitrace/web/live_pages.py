"""The live tail: traces that match, as they arrive.

| page                            | shows                                                             |
|---------------------------------|-------------------------------------------------------------------|
| `/live?q=&paused=1`             | the newest traces that match; with scripts, those that arrive too |
| `/live/stream?q=&after=`        | server-sent events: rows of what arrived, `id` is the place        |
| `/live/traces.ndjson?q=&last=`  | one JSON object a line, for programs                              |
| `/live/count.json?q=&after=`    | how many arrived, for a tab in the background                     |

A place is a number of `store.arrivals`. Whoever comes back with one gets what arrived since, and nothing twice.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from minitrace import present
from minitrace.errors import TraceQLError
from minitrace.store.arrivals import Missed
from minitrace.store.search import Search
from minitrace.traceql.ast import Pipeline, SpansetFilter
from minitrace.traceql.parser import parse
from minitrace.web.box import EXAMPLES, Box, read_box
from minitrace.web.events import PING, message, stream
from minitrace.web.facts import facts, facts_of_span
from minitrace.web.lookup import FoundId, find_ids
from minitrace.web.named import slots_of, store_of
from minitrace.web.render import env, render
from minitrace.web.tail import Round, Tail
from minitrace.web.tempo_search import trace_answer
from minitrace.web.wanted import while_wanted

SHOWN_AT_FIRST = 50
MOST_ROWS = 500  # in the page
MOST_AT_ONCE = 400  # in a message, so that what it says was missed is still in the page
SPANS_SHOWN = 3  # of each spanset
MOST_IDS = 20  # in one text
NDJSON = "application/x-ndjson"

_EVERYTHING = Pipeline((SpansetFilter(),))


@while_wanted
async def page(request: Request) -> Response:
    """The newest traces that match, and where the stream goes on from."""
    text, is_paused = request.query_params.get("q", "").strip(), request.query_params.get("paused") == "1"
    box = read_box(text)
    store = store_of(request)
    place = await store.place()  # before the search: what comes in between is shown again, in its place
    result = None if box.problem else await store.search(_search(text, box, SHOWN_AT_FIRST))
    return await render(
        request,
        "live.html",
        status_code=422 if box.problem else 200,
        q=text,
        box=box,
        is_paused=is_paused,
        place=place,
        result=result,
        missed=None,
        most_rows=MOST_ROWS,
        url=url,
        examples=EXAMPLES,
        **_shown(text, await slots_of(store)),
    )


async def events(request: Request) -> Response:
    """Rows of what arrives and matches, until the server stops or the browser leaves."""
    text = request.query_params.get("q", "")
    after = await _place(request, request.headers.get("last-event-id") or request.query_params.get("after", ""))
    return stream(request, _messages(request, text, _question(text), after))


async def traces(request: Request) -> Response:
    """A JSON object a line for each trace that arrives and matches, and again when more of it does.

    It is as in the answer of ``/api/search``, with `last`: the place to go on from. An empty line says that there is
    nothing new; ``{"missed": 7, …}`` that so many traces came at once and were not looked at.
    """
    question = _question(request.query_params.get("q", ""))
    after = await _place(request, request.query_params.get("last", ""))
    return stream(request, _lines(request, question, after), NDJSON)


@while_wanted
async def count(request: Request) -> Response:
    """How many traces match of those that arrived behind a place, and how many of them have errors."""
    question = _question(request.query_params.get("q", ""))
    after = await _place(request, request.query_params.get("after", ""))
    store = store_of(request)
    found = await store.arrivals(replace(question, spans_per_set=0), after, await store.place())
    errors = sum(1 for match in found.matches if match.summary.error_count)
    return JSONResponse({"traces": len(found.matches), "errors": errors})


def url(q: str, is_paused: bool = False) -> str:
    """The address of the page."""
    pairs = [("q", q)] * bool(q) + [("paused", "1")] * is_paused
    return "/live" + ("?" + urlencode(pairs) if pairs else "")


async def _messages(request: Request, text: str, question: Search, after: int) -> AsyncIterator[str]:
    yield PING
    async for found in _tail(request).rounds(question, after):
        yield _message(request, text, found) if found.arrivals.has_news else f"id: {found.arrivals.place}\n\n"


def _message(request: Request, text: str, found: Round) -> str:
    """What a turn found as an event, made once for all who look at the same page."""
    root = request.scope.get("root_path", "")
    page = root + url(text)
    if page not in found.texts:
        template = env.get_template("_live_rows.html")
        arrived = found.arrivals
        shown = {"matches": arrived.matches, "missed": arrived.missed, "place": arrived.place, "root": root}
        html = template.render(**shown, **_shown(text, found.slots))
        found.texts[page] = message(html, id=str(arrived.place))
    return found.texts[page]


async def _lines(request: Request, question: Search, after: int) -> AsyncIterator[str]:
    async for found in _tail(request).rounds(question, after):
        arrived = found.arrivals
        if not arrived.has_news:
            yield "\n"
            continue
        answers: list[dict[str, Any]] = [trace_answer(match) for match in reversed(arrived.matches)]
        if arrived.missed:
            answers.insert(0, {"missed": arrived.missed.trace_count})
        # Only the last line of a turn ends it: who goes on from one before it gets the turn again.
        places = [after] * (len(answers) - 1) + [arrived.place]
        pairs = zip(answers, places, strict=True)
        yield "".join(json.dumps(answer | {"last": str(place)}) + "\n" for answer, place in pairs)
        after = arrived.place


def _shown(text: str, slots: dict[str, int]) -> dict[str, Any]:
    """What rows are made with."""
    return {
        "now_ns": time.time_ns(),
        "slots": slots,
        "facts": facts,
        "facts_of_span": facts_of_span,
        "has_question": bool(text.strip()),
        "search_url": lambda missed: _search_url(text.strip(), missed),
    }


def _search_url(text: str, missed: Missed) -> str:
    """The search for what was missed."""
    second_ns = 10**9
    times = {
        "from": present.iso(missed.start_ns // second_ns * second_ns),
        "to": present.iso(missed.end_ns + second_ns),
    }
    return "/search?" + urlencode({"q": text, **times} if text else times)


def _question(text: str) -> Search:
    """What a text in the box asks for. Raises TraceQLError."""
    box = read_box(text)
    if box.problem:
        raise TraceQLError(f"{box.problem}\n{box.drawing}".rstrip())
    return _search(text, box, MOST_AT_ONCE)


def _search(text: str, box: Box, limit: int) -> Search:
    """The search for what the box holds: a query, the ids of traces, or words."""
    ids = find_ids(text) if box.words else []
    if ids:
        return Search(_one_of(ids), limit=limit, spans_per_set=SPANS_SHOWN)
    root = box.query.root if box.query else _EVERYTHING
    assert isinstance(root, Pipeline), "the box refuses metrics"
    return Search(root, words=box.words, limit=limit, spans_per_set=SPANS_SHOWN)


def _one_of(ids: list[FoundId]) -> Pipeline:
    conditions = (f'trace:id = "{found.trace_id.hex()}"' for found in ids[:MOST_IDS])
    root = parse(f"{{ {' || '.join(conditions)} }}").root
    assert isinstance(root, Pipeline)
    return root


async def _place(request: Request, text: str) -> int:
    """The place that a client had; the end of the file if it names none."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else await store_of(request).place()


def _tail(request: Request) -> Tail:
    tail: Tail = request.app.state.tail
    return tail


routes = [
    Route("/live", page),
    Route("/live/stream", events),
    Route("/live/traces.ndjson", traces),
    Route("/live/count.json", count),
]
