"""The pages for people: what a request asks for, to a template and what it shows.

`/` tells how to send the first span, and leads to the search once there is one; `search_pages`, `trace_pages` and
`span_pages` have the others.

All state is in the URL, so that every view is a link. Reads are GET; what is kept is a POST: the theme in a cookie,
`/trace/{trace_id}/pin` in the store.
"""

from __future__ import annotations

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from minitrace.errors import MinitraceError
from minitrace.web import welcome
from minitrace.web.answers import retry_headers, status_of
from minitrace.web.named import store_of, trace_id_of
from minitrace.web.posted import go_back, read_fields
from minitrace.web.render import THEME_COOKIE, THEMES, render, target

YEAR_S = 365 * 86_400


async def set_pin(request: Request) -> Response:
    """Keep a trace when old ones are removed, or no longer; the button again, or back to where the form was."""
    trace_id = trace_id_of(request)
    form = await read_fields(request)
    pinned = form.get("pinned", "")
    if pinned not in ("0", "1"):
        raise HTTPException(400, "Say pinned=1 to keep this trace, or pinned=0 to let it go with others.")
    await store_of(request).pin(trace_id, is_pinned=pinned == "1")
    if target(request) == "pin":
        return await render(request, "trace.html", is_pinned=pinned == "1")
    return go_back(request, form, f"/trace/{trace_id.hex()}")


async def set_theme(request: Request) -> Response:
    """Keep the theme in a cookie, and go back to where the form was."""
    form = await read_fields(request)
    theme = form.get("theme", "")
    if theme not in THEMES:
        raise HTTPException(400, f"A theme is one of {', '.join(THEMES)}.")
    response = Response(status_code=204) if "HX-Request" in request.headers else go_back(request, form, "/")
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
    Route("/trace/{trace_id}/pin", set_pin, methods=["POST"]),
    Route("/theme", set_theme, methods=["POST"]),
]
