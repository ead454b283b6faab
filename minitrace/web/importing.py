"""Files imported from a browser: a look at what is in them, then stored, and a way back.

| page                     |                                                                         |
|--------------------------|-------------------------------------------------------------------------|
| `GET /import`            | a form for files; drop.js posts those that are dropped on any page      |
| `POST /import`           | reads them and leads to the next one; nothing is stored                 |
| `GET /import/{key}`      | what is in them; how far it is; what was stored, or taken back          |
| `POST /import/{key}`     | `do=import`, `do=undo`, or `do=cancel`                                  |

An undo takes away those spans and log records that were new, whatever else their traces have, but nothing of pinned
traces.
"""

from __future__ import annotations

import time

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from minitrace import present
from minitrace.errors import DecodeError, TooLarge
from minitrace.web.contents import SHOWN_TRACES, read_contents
from minitrace.web.multipart import Part, read_files
from minitrace.web.named import slots_of, store_of
from minitrace.web.posted import read_fields
from minitrace.web.render import go_to, render
from minitrace.web.times import local_text
from minitrace.web.uploads import SHOWN_PROBLEMS, State, Upload, Uploads

NONE_CHOSEN = "No file was chosen."
MOST_UNREAD = 8  # times as much as is taken: whoever sends it reads our answer only then
SOON_S = 0.3  # most is done by then
MARGIN_NS = 1_000_000  # the search's times are whole milliseconds


async def import_page(request: Request) -> Response:
    """The form; what htmx asks for while an import goes on."""
    return await (upload_page if "key" in request.query_params else _form)(request)


async def upload(request: Request) -> Response:
    """Read files, and show what is in them."""
    try:
        files = await _files(request)
    except (TooLarge, DecodeError) as error:
        return await _form(request, str(error), 413 if isinstance(error, TooLarge) else 400)
    if not files:
        return await _form(request, NONE_CHOSEN, 422)
    limit = request.app.state.config.max_body_bytes
    found = Upload(await read_contents(files, now_ns=time.time_ns(), max_bytes=limit))
    await found.look(store_of(request))
    _uploads(request).add(found)
    return go_to(request, f"/import/{found.key}")


async def upload_page(request: Request) -> Response:
    """What is in an upload, and what became of it."""
    found = _upload(request)
    return await render(
        request,
        "upload.html",
        upload=found,
        state=found.state,
        goes_on=found.state in (State.IMPORTING, State.UNDOING),
        slots=await slots_of(store_of(request)),
        now_ns=time.time_ns(),
        shown_problems=SHOWN_PROBLEMS,
        shown_traces=SHOWN_TRACES,
        search_url=_search_url(found),
    )


async def act(request: Request) -> Response:
    """Import an upload, undo that, or forget it."""
    found, store = _upload(request), store_of(request)
    match (await read_fields(request)).get("do", ""), found.state:
        case "cancel", State.WAITING:
            _uploads(request).forget(found)
            return go_to(request, "/import")
        case "import", State.WAITING if found.contents.bundles or found.contents.log_bundles:
            await found.begin(State.IMPORTING, found.store(store, request.app.state.live), SOON_S)
        case "undo", State.IMPORTED if found.rows or found.log_rows:
            await found.begin(State.UNDOING, found.undo(store), SOON_S)
    return go_to(request, f"/import/{found.key}")  # which tells what is the case


async def _form(request: Request, problem: str = "", status: int = 200) -> Response:
    return await render(
        request,
        "import.html",
        status,
        problem=problem,
        limit=request.app.state.config.max_body_bytes,
        imported=_uploads(request).imported,
        now_ns=time.time_ns(),
    )


async def _files(request: Request) -> list[Part]:
    """The files that were sent. Raises DecodeError, TooLarge."""
    content = await _read(request, request.app.state.config.max_body_bytes)
    return await read_files(content, request.headers.get("content-type", ""))


async def _read(request: Request, limit: int) -> bytes:
    """The body. One that is too large is read to its end: a browser that cannot send all shows no answer.

    Raises:
        TooLarge: it has more than `limit` bytes; says what else could be done.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        elif size > limit * MOST_UNREAD:
            break
        else:
            chunks.clear()
    if size > limit:
        raise TooLarge(
            f"These are more than {present.plain(present.size(limit))}. To look at them: minitrace open FILE. "
            "To import more at once, start minitrace with --max-body-bytes."
        )
    return b"".join(chunks)


def _uploads(request: Request) -> Uploads:
    uploads: Uploads = request.app.state.uploads
    return uploads


def _upload(request: Request) -> Upload:
    try:
        return _uploads(request)[request.path_params.get("key") or request.query_params["key"]]
    except KeyError:
        raise HTTPException(404, "this import is not known any more: choose its files again") from None


def _search_url(found: Upload) -> str:
    """The search for the time that was imported; for log records where that is all there is."""
    page = "/search" if found.contents.span_count else "/logs"
    if not found.contents.start_ns:
        return page
    times = found.contents.start_ns, found.contents.end_ns + MARGIN_NS
    return "{}?from={}&to={}".format(page, *map(local_text, times))


routes = [
    Route("/import", import_page),
    Route("/import", upload, methods=["POST"]),
    Route("/import/{key}", upload_page),
    Route("/import/{key}", act, methods=["POST"]),
]
