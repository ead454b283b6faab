"""The pages for people: what a request asks for, to a template and what it shows.

| page                               | shows                                                |
|------------------------------------|------------------------------------------------------|
| `/`                                | how to send the first span; the search once there is one |
| `/search?text=&service=…`          | the newest traces that match words, fields or TraceQL |

All state is in the URL, so that every view is a link. Reads are GET; what is kept is a POST: the theme in a cookie,
`/trace/{trace_id}/pin` in the store.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from minitrace.errors import MinitraceError, QueryTimeout
from minitrace.store.dictionary import AttributeKey
from minitrace.store.matches import SearchResult
from minitrace.store.store import Store
from minitrace.web import body, forms, terms, welcome
from minitrace.web.answers import retry_headers, status_of
from minitrace.web.box import EXAMPLES
from minitrace.web.facts import facts, facts_of_span
from minitrace.web.lookup import FoundId, find_ids
from minitrace.web.named import slots_of, store_of, trace_id_of
from minitrace.web.render import THEME_COOKIE, THEMES, go_to, render, target
from minitrace.web.wanted import while_wanted

T = TypeVar("T")

MAX_FORM_BYTES = 4096
MAX_OPERATIONS = 200  # suggested as names; a thousand of them took half the time of a page
MAX_SUGGESTIONS = 1000  # attribute keys: some applications make them up as they go
YEAR_S = 365 * 86_400


@while_wanted
async def search_page(request: Request) -> Response:
    """The newest traces that match; straight to the trace where the text holds the id of one."""
    store = store_of(request)
    now_ns = time.time_ns()
    is_typed = bool(request.query_params.get("attributes"))
    keys = await _attribute_keys(store) if is_typed else []
    form = forms.read_form(request.query_params, now_ns, keys)
    ids = find_ids(form.values.get("text", "")) if form.box.words else []
    if found := await _first_known(store, ids):
        return go_to(request, _trace_url(found.trace_id, found.span_id))
    missing = ids[0] if ids and ids[0].exact else None
    has_question = not form.problems and not missing
    (result, elapsed_ns), slots, operations, suggested_keys = await asyncio.gather(
        _search(store, form) if has_question else _nothing((None, 0)),
        slots_of(store),
        _operations(store, form.values.get("service")),
        _nothing([]) if is_typed or target(request) else _attribute_keys(store),
    )
    keys = keys or suggested_keys
    return await render(
        request,
        "search.html",
        status_code=422 if form.problems else 200,
        form=form,
        missing=missing,
        result=result,
        elapsed_ns=elapsed_ns,
        longest_ns=max((match.summary.duration_ns for match in result.matches), default=0) if result else 0,
        now_ns=now_ns,
        slots=slots,
        operations=operations,
        keys=terms.suggestions(keys)[:MAX_SUGGESTIONS],
        unknown_keys=await _unknown_keys(store, form) if result and not result.matches else {},
        periods=forms.PERIODS,
        statuses=list(forms.STATUSES),
        examples=EXAMPLES,
        facts=facts,
        facts_of_span=facts_of_span,
    )


async def set_pin(request: Request) -> Response:
    """Keep a trace when old ones are removed, or no longer; the button again, or back to where the form was."""
    trace_id = trace_id_of(request)
    form = await _read_fields(request)
    pinned = form.get("pinned", "")
    if pinned not in ("0", "1"):
        raise HTTPException(400, "Say pinned=1 to keep this trace, or pinned=0 to let it go with others.")
    await store_of(request).pin(trace_id, is_pinned=pinned == "1")
    if target(request) == "pin":
        return await render(request, "trace.html", is_pinned=pinned == "1")
    return _go_back(request, form, _trace_url(trace_id, None))


async def set_theme(request: Request) -> Response:
    """Keep the theme in a cookie, and go back to where the form was."""
    form = await _read_fields(request)
    theme = form.get("theme", "")
    if theme not in THEMES:
        raise HTTPException(400, f"A theme is one of {', '.join(THEMES)}.")
    response = Response(status_code=204) if "HX-Request" in request.headers else _go_back(request, form, "/")
    response.set_cookie(THEME_COOKIE, theme, max_age=YEAR_S, httponly=True, samesite="lax")
    return response


async def error_page(request: Request, exc: Exception) -> Response:
    """An error as a page, or as one line for a client that does not ask for HTML."""
    status_code, text = _explain(exc)
    headers = dict(getattr(exc, "headers", None) or {}) | retry_headers(status_code)
    if target(request) or "text/html" not in request.headers.get("Accept", ""):
        return PlainTextResponse(text + "\n", status_code, headers)
    response = await render(request, "error.html", status_code=status_code, status_number=status_code, text=text)
    response.headers.update(headers)
    return response


async def _read_fields(request: Request) -> dict[str, str]:
    """The fields of a posted form."""
    fields = parse_qs((await body.read(request, MAX_FORM_BYTES)).decode("latin-1"))
    return {name: values[0] for name, values in fields.items()}


def _go_back(request: Request, form: Mapping[str, str], home: str) -> Response:
    """To where the form was, as far as that is a page of ours."""
    back = form.get("next", "")
    return RedirectResponse(back if _is_own_path(back) else request.scope.get("root_path", "") + home, 303)


async def _first_known(store: Store, ids: list[FoundId]) -> FoundId | None:
    known = await store.known([found.trace_id for found in ids]) if ids else []
    return next((found for found in ids if found.trace_id in known), None)


async def _operations(store: Store, service: str | None) -> list[str]:
    """What to suggest as names; none is better than an error page."""
    try:
        return await store.operations(service, limit=MAX_OPERATIONS)
    except QueryTimeout:
        return []


async def _attribute_keys(store: Store) -> list[AttributeKey]:
    """What to suggest as attributes; none is better than an error page."""
    try:
        return await store.attribute_keys()
    except QueryTimeout:
        return []


async def _unknown_keys(store: Store, form: forms.SearchForm) -> dict[str, list[str]]:
    """The attributes asked for that nothing has, and what there is instead."""
    keys = await _attribute_keys(store) if form.attributes else []
    return terms.unknown(form.attributes, keys) if keys else {}


async def _search(store: Store, form: forms.SearchForm) -> tuple[SearchResult | None, int]:
    """What is found, and how many nanoseconds it took."""
    began = time.perf_counter()
    result = await store.search(form.search)
    return result, int((time.perf_counter() - began) * 1e9)


async def _nothing(value: T) -> T:
    return value


def _trace_url(trace_id: bytes, span_id: bytes | None) -> str:
    return f"/trace/{trace_id.hex()}" + (f"?span={span_id.hex()}" if span_id else "")


def _is_own_path(text: str) -> bool:
    """Whether a Location of this text stays here: browsers read "//host" and "/\\host" as another one."""
    return text.startswith("/") and text[1:2] not in ("/", "\\") and text.isprintable()


def _explain(exc: Exception) -> tuple[int, str]:
    """The status and the sentence for an error."""
    if isinstance(exc, HTTPException):
        plain = exc.detail == HTTPStatus(exc.status_code).phrase
        return exc.status_code, "There is nothing at this address." if plain and exc.status_code == 404 else exc.detail
    if isinstance(exc, MinitraceError):
        return status_of(exc), str(exc)
    return 500, "minitrace made a mistake; its log says more."


routes = [
    Route("/", welcome.page),
    Route("/_/welcome/stream", welcome.stream),
    Route("/search", search_page),
    Route("/trace/{trace_id}/pin", set_pin, methods=["POST"]),
    Route("/theme", set_theme, methods=["POST"]),
]
