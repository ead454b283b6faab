"""Deleting what a search finds, or everything, after somebody typed that they mean it.

| page                        |                                                                     |
|-----------------------------|---------------------------------------------------------------------|
| `GET /delete?q=…`           | what would go, for the parameters of a search; a field for the word |
| `GET /delete?everything=1`  | the same for all that is stored                                     |
| `POST /delete`              | begins, and leads to the next one                                   |
| `GET /removal`              | how far it is, and what it came to                                  |

It cannot be undone, and the page says so. Pinned traces stay; so does what arrives after the page was shown.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from minitrace.errors import MinitraceError
from minitrace.store.deletion import Removed
from minitrace.store.orders import Order
from minitrace.store.search import Search
from minitrace.store.store import Store
from minitrace.web import forms
from minitrace.web.named import store_of
from minitrace.web.posted import read_fields
from minitrace.web.render import go_to, render

WORD = "delete"
MAX_POST_BYTES = 256 << 10  # a query has at most 64 kB, and percent signs make three of one
TRACES_AT_ONCE = 500
SOON_S = 0.3  # most are done by then


@dataclass(slots=True)
class Removal:
    """A deletion that goes on, or the last one: `removed` so far, out of `trace_count` that were expected."""

    back: str  # the search, to return to
    trace_count: int
    removed: Removed = field(default_factory=Removed)
    problem: str = ""
    is_done: bool = False
    task: asyncio.Task[None] | None = None

    async def run(self, parts: AsyncIterator[Removed]) -> None:
        """Take what the parts say, one after the other."""
        try:
            async for part in parts:
                self.removed += part
        except MinitraceError as error:
            self.problem = str(error)
        finally:
            self.is_done = True


async def delete_page(request: Request) -> Response:
    """What would be deleted, and the field to say so."""
    return await _asked(request, dict(request.query_params), until_ns=time.time_ns())


async def delete(request: Request) -> Response:
    """Begin to delete, if the word is there and no other deletion goes on."""
    fields = await read_fields(request, MAX_POST_BYTES)
    wanted = dict(parse_qsl(fields.get("search", "")))
    until = fields.get("until", "")
    until_ns = int(until) if until.isascii() and until.isdigit() else time.time_ns()
    going_on: Removal | None = request.app.state.removal
    if going_on and not going_on.is_done:
        return await _asked(request, wanted, until_ns, problem="Another deletion goes on; wait for its end.")
    if fields.get("word", "").strip().lower() != WORD:
        return await _asked(request, wanted, until_ns, problem=f"Nothing was deleted. Type {WORD} to go on.")
    form = forms.read_form(wanted, time.time_ns())
    if form.problems:
        return await _asked(request, wanted, until_ns)
    store = store_of(request)
    is_everything = "everything" in wanted
    search = _search(form, until_ns)
    count = (await store.stats()).trace_count if is_everything else (await store.overview(search)).trace_count
    removal = Removal("/search" if is_everything else form.url(), count)
    parts = _all(store) if is_everything else _matching(store, search)
    removal.task = asyncio.create_task(removal.run(parts), name="minitrace removal")
    request.app.state.removal = removal
    await asyncio.wait({removal.task}, timeout=SOON_S)
    return go_to(request, "/removal")


async def removal_page(request: Request) -> Response:
    """How far the deletion is."""
    return await render(request, "removal.html", removal=request.app.state.removal)


async def _asked(request: Request, wanted: dict[str, str], until_ns: int, problem: str = "") -> Response:
    """The page with the field for the word."""
    form = forms.read_form(wanted, time.time_ns())
    is_everything = "everything" in wanted
    store = store_of(request)
    overview = None
    if not form.problems and not is_everything:
        overview = await store.overview(_search(form, until_ns))
    return await render(
        request,
        "delete.html",
        status_code=422 if problem or form.problems else 200,
        form=form,
        is_everything=is_everything,
        search="everything=1" if is_everything else form.url().partition("?")[2],
        until_ns=until_ns,
        overview=overview,
        word=WORD,
        problem=problem or "".join(form.problems.values()),
    )


def _search(form: forms.SearchForm, until_ns: int) -> Search:
    """What the form asks for, among what had arrived by a time."""
    return replace(
        form.search, received=(0, until_ns), limit=TRACES_AT_ONCE, before=None, spans_per_set=0, order=Order.NEWEST
    )


async def _matching(store: Store, search: Search) -> AsyncIterator[Removed]:
    """Delete what matches, page by page, from the newest to the oldest."""
    while True:
        found = await store.search(search)
        if found.matches:
            yield await store.delete([match.summary.trace_id for match in found.matches])
        if found.next is None:
            if not found.complete:
                raise MinitraceError(f"Not all could be looked at: {found.reason}")
            return
        search = replace(search, before=found.next)


async def _all(store: Store) -> AsyncIterator[Removed]:
    yield await store.clear()


routes = [
    Route("/delete", delete_page),
    Route("/delete", delete, methods=["POST"]),
    Route("/removal", removal_page),
]
