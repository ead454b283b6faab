"""What receivers of other systems' spans share: 202 without a body, or text that says what is wrong."""

from __future__ import annotations

from abc import abstractmethod

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from minitrace.live import Received
from minitrace.model import Span
from minitrace.store.ingest import export_of
from minitrace.web import intake
from minitrace.web.answers import retry_headers


class Receiver(intake.Receiver):
    """A receiver whose format is read by `read`."""

    @abstractmethod
    def read(self, content: bytes, content_type: str) -> list[Span]:
        """The spans of a body. It is called in the writer's thread. Raises DecodeError, TooLarge."""

    def unfit(self, request: Request, seen: Received) -> Response | None:
        return None

    async def take(self, request: Request, content: bytes, seen: Received) -> Response:
        content_type = intake.media_type_of(request)
        batch = await intake.store_spans(
            request, lambda: export_of(self.read(content, content_type)), len(content), seen
        )
        if not batch.span_count:
            seen.problem = ""  # reporters ask with an empty list whether anybody is there
        return Response(status_code=202)

    def refusal(self, request: Request, status: int, text: str) -> Response:
        return PlainTextResponse(f"{text}\n", status, headers=retry_headers(status))
