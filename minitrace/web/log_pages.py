"""Log records: the page that searches them, and the same for programs.

| page        | shows                                                              |
|-------------|--------------------------------------------------------------------|
| `/logs`     | records that fit, newest first; htmx asks for the block "found"    |
| `/api/logs` | the same as OTLP JSON, in that order, with a cursor: `next`        |

`log_form` has the parameters.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import groupby
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from minitrace.errors import DecodeError
from minitrace.otlp import json as otlp_json
from minitrace.otlp.encode import logs_data
from minitrace.store.logs import LogResult
from minitrace.store.store import Store
from minitrace.web.log_form import LEVELS, LogForm, read_log_form
from minitrace.web.log_lines import lines, link_of
from minitrace.web.lookup import find_ids
from minitrace.web.named import slots_of, store_of
from minitrace.web.render import go_to, render
from minitrace.web.times import PERIODS
from minitrace.web.wanted import while_wanted


@while_wanted
async def logs_page(request: Request) -> Response:
    """What fits; where the box holds nothing but the id of a trace, the records of that."""
    store, now_ns = store_of(request), time.time_ns()
    form = read_log_form(request.query_params, now_ns)
    ids = find_ids(form.search.words)
    if len(ids) == 1 and ids[0].exact:
        span = ids[0].span_id
        return go_to(request, form.url(q=None, trace=ids[0].trace_id.hex(), span=span.hex() if span else None))
    began = time.perf_counter()
    result = LogResult() if form.problems else await store.logs(form.search)
    links = {place: link_of(record) for place, record in enumerate(result.records)}
    traces = list(dict.fromkeys(trace_id for trace_id, _ in links.values() if trace_id))
    stored = set(await store.known(traces)) if traces else set()
    return await render(
        request,
        "logs.html",
        422 if form.problems else 200,
        form=form,
        result=result,
        lines=lines(result.records, {place: link for place, link in links.items() if link[0] in stored}),
        elapsed_ns=int((time.perf_counter() - began) * 1e9),
        now_ns=now_ns,
        is_trace_stored=form.search.trace_id in stored,
        slots=await _slots(store),
        levels=list(LEVELS),
        periods=PERIODS,
        endpoint=str(request.base_url).rstrip("/"),
    )


async def _slots(store: Store) -> dict[str, int]:
    """The colour of each service; those that only log come last."""
    slots = await slots_of(store)
    for name in await store.log_services():
        slots.setdefault(name, len(slots))
    return slots


@while_wanted
async def logs_json(request: Request) -> Response:
    """The same for programs. Raises DecodeError."""
    return JSONResponse(logs_answer(await store_of(request).logs(read_logs(request.query_params).search)))


def read_logs(parameters: Mapping[str, str]) -> LogForm:
    """The parameters of the API. Raises DecodeError."""
    form = read_log_form(parameters, time.time_ns())
    for name, remedy in form.problems.items():
        raise DecodeError(f"{name}={form.values.get(name, '')[:40]!r}: {remedy[:1].lower()}{remedy[1:].rstrip('.')}")
    return form


def logs_answer(result: LogResult) -> dict[str, Any]:
    """What was found as OTLP JSON, one group of records behind the other, so that their order is kept."""
    answer: dict[str, Any] = {"resourceLogs": [], "complete": result.complete}
    for _, group in groupby(result.records, lambda record: (id(record.resource), id(record.scope))):
        answer["resourceLogs"] += otlp_json.dump(logs_data(list(group)))["resourceLogs"]
    return answer | ({"next": result.next} if result.next else {})


routes = [Route("/logs", logs_page), Route("/api/logs", logs_json)]
