"""Searches that somebody gives a name: kept in the file, offered on the search page."""

from __future__ import annotations

import time
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from minitrace.store.saved_searches import SavedSearch
from minitrace.web import forms
from minitrace.web.named import store_of
from minitrace.web.posted import go_back, read_fields

MAX_POST_BYTES = 256 << 10  # as for a deletion
MAX_NAME = 80  # characters


async def save_search(request: Request) -> Response:
    """Keep the search of the page under a name; one of the same name gives way."""
    fields = await read_fields(request, MAX_POST_BYTES)
    name = fields.get("name", "").strip()
    if not name or len(name) > MAX_NAME:
        raise HTTPException(422, f"Give the search a name of 1 to {MAX_NAME} characters.")
    now_ns = time.time_ns()
    form = forms.read_form(dict(parse_qsl(fields.get("search", ""))), now_ns)
    await store_of(request).save_search(SavedSearch(name, form.url().partition("?")[2], now_ns))
    return go_back(request, fields, "/search")


async def forget_search(request: Request) -> Response:
    """Keep a search no longer."""
    fields = await read_fields(request)
    await store_of(request).forget_search(fields.get("name", ""))
    return go_back(request, fields, "/search")


routes = [
    Route("/searches", save_search, methods=["POST"]),
    Route("/searches/forget", forget_search, methods=["POST"]),
]
