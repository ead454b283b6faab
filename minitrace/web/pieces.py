"""Large JSON, piece by piece: made in a thread while it is sent, so that nobody else waits for it.

The pieces of one answer, joined, are its text. A piece should be some 20 ms of work.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from starlette.concurrency import iterate_in_threadpool
from starlette.responses import StreamingResponse

from minitrace.errors import MinitraceError, TraceNotFound
from minitrace.model import Span

if TYPE_CHECKING:  # see opened.py
    from minitrace.store.store import Store

SPANS_A_PIECE = 200  # of OTLP's JSON: most of the work is in Python


def cut(spans: Sequence[Span]) -> Iterator[Sequence[Span]]:
    """Spans, as many at a time as make a piece."""
    return (spans[at : at + SPANS_A_PIECE] for at in range(0, len(spans), SPANS_A_PIECE))


def dump(value: Any) -> str:
    """A value as JSON without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def listed(texts: Iterable[str]) -> Iterator[str]:
    """A JSON list; each of the texts is one item of it, or several with commas between them."""
    before = "["
    for text in texts:
        yield before + text
        before = ","
    yield "]" if before == "," else "[]"


def enclosed(before: str, pieces: Iterable[str], after: str) -> Iterator[str]:
    """The pieces, with text before and after them."""
    yield before
    yield from pieces
    yield after


async def of_traces(
    store: Store,
    trace_ids: Iterable[bytes],
    text: Callable[[Sequence[Span]], Iterable[str]],
    lost: Callable[[bytes, MinitraceError], object] | None = None,
) -> AsyncIterator[str]:
    """What `text` makes of each trace: no more than one of them is in memory. One deleted meanwhile is left out.

    `lost` is told of one that cannot be loaded.

    Raises:
        MinitraceError: without `lost`, one cannot be loaded: an answer that ends early is one that has failed.
    """
    for trace_id in trace_ids:
        try:
            trace = await store.trace(trace_id)
        except TraceNotFound:
            continue
        except MinitraceError as error:
            if lost is None:
                raise
            lost(trace_id, error)
            continue
        async for piece in iterate_in_threadpool(text(trace.spans)):
            yield piece
        trace.let_go()


def answer(pieces: Iterable[str] | AsyncIterator[str]) -> StreamingResponse:
    """The pieces as what a request for JSON is answered with."""
    return StreamingResponse(pieces, media_type="application/json")
