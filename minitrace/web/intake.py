"""What every receiver of telemetry does with a request, whatever protocol it speaks.

```
fit? → room? → body within limits → unpacked → taken: committed, told to who watches → answered, and noted
```

A protocol is a subclass of `Receiver`: what it takes, and how it answers. 200 means committed; what the client may send
again is answered 503, and only that.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from minitrace import present
from minitrace.errors import MinitraceError, StoreBusy
from minitrace.live import Received
from minitrace.otlp import compression
from minitrace.otlp.decode import Export
from minitrace.otlp.log_records import LogExport
from minitrace.store.layout import Batch
from minitrace.store.log_layout import LogBatch
from minitrace.web import body, receiver
from minitrace.web.answers import status_of

log = logging.getLogger(__name__)


class Receiver(ABC):
    """One endpoint that takes telemetry. An ASGI application, so that every method comes here."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        seen = receiver.begun(scope)
        try:
            response = await self._answer(request, seen)
        except ClientDisconnect:
            return
        receiver.note(request.app.state.live, seen, response.status_code, seen.problem)
        await response(scope, receive, send)

    @abstractmethod
    def unfit(self, request: Request, seen: Received) -> Response | None:
        """The answer to a request whose head is none of this protocol's, with `seen.problem`; None if it is one.

        Raises:
            MinitraceError: it is refused as `refusal` says it.
        """

    def timeout_s(self, request: Request) -> float | None:
        """How long the client waits for its answer; None if it does not say."""
        return None

    @abstractmethod
    async def take(self, request: Request, content: bytes, seen: Received) -> Response:
        """Take the unpacked body, fill in `seen`, and answer. Raises MinitraceError."""

    @abstractmethod
    def refusal(self, request: Request, status: int, text: str) -> Response:
        """An error as this protocol says it; `status` is HTTP's."""

    async def _answer(self, request: Request, seen: Received) -> Response:
        try:
            if answer := self.unfit(request, seen):
                return answer
            async with asyncio.timeout(self.timeout_s(request)):
                return await self.take(request, await _content(request, seen), seen)
        except TimeoutError:
            seen.problem = "the time that the client gave ran out"
            return self.refusal(request, 504, seen.problem)
        except MinitraceError as error:
            seen.problem = str(error)
            return self.refusal(request, status_of(error), str(error))
        except ClientDisconnect:
            raise
        except Exception:
            log.exception("POST %s failed", request.url.path)
            seen.problem = "minitrace failed to take this request; its log says why"
            return self.refusal(request, 500, seen.problem)


async def _content(request: Request, seen: Received) -> bytes:
    """The body, unpacked. Raises DecodeError, TooLarge, StoreBusy."""
    encoding = encoding_of(request)
    compression.check_encoding(encoding)
    if request.app.state.store.is_busy:
        raise StoreBusy("too much waits to be written")  # before the body is even read
    limit = request.app.state.config.max_body_bytes
    packed = await body.read(request, limit)
    seen.size_bytes = len(packed)
    return await body.unpack(packed, encoding, limit)


def encoding_of(request: Request) -> str:
    """The Content-Encoding, in lower case; "" if there is none."""
    return request.headers.get("content-encoding", "").strip().lower()


def media_type_of(request: Request) -> str:
    """The Content-Type without its parameters, in lower case; "" if there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def store_spans(request: Request, decode: Callable[[], Export], size_bytes: int, seen: Received) -> Batch:
    """Store what `decode` gives, called in the writer's thread, tell who watches, and fill in `seen`.

    Raises:
        StoreBusy, and what `decode` raises: nothing was stored.
    """
    state = request.app.state
    batch: Batch = await state.store.take(decode, size_bytes)
    state.live.publish(batch.trace_ids)
    seen.span_count, seen.trace_count, seen.rejected = batch.added, len(batch.trace_ids), batch.rejected
    seen.duplicates, seen.without_ids = batch.span_count - batch.added, batch.without_ids
    if batch.rejected:
        seen.problem = f"{present.count(batch.rejected, 'span')} rejected: {batch.reason}"
    elif not batch.span_count:
        seen.problem = "there was no span in it"
    return batch


async def store_logs(request: Request, decode: Callable[[], LogExport], size_bytes: int, seen: Received) -> LogBatch:
    """The same with log records."""
    state = request.app.state
    batch: LogBatch = await state.store.take_logs(decode, size_bytes)
    state.live.publish(batch.trace_ids)
    seen.record_count, seen.trace_count, seen.rejected = batch.added, len(batch.trace_ids), batch.rejected
    seen.duplicates = batch.record_count - batch.added
    if batch.rejected:
        seen.problem = f"{present.count(batch.rejected, 'log record')} rejected: {batch.reason}"
    else:
        seen.problem = batch.reason
    return batch
