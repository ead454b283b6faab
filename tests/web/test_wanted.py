"""What nobody waits for any more is not worked on."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message

from minitrace.web.wanted import while_wanted


def request_of_client(stays: bool) -> Request:
    """A GET whose client waits for the answer, or has gone when the request was read."""
    messages: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]
    if not stays:
        messages.append({"type": "http.disconnect"})

    async def receive() -> Message:
        if messages:
            return messages.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    return Request({"type": "http", "method": "GET", "path": "/", "headers": []}, receive)


class Endless:
    """A handler that works until it is cancelled."""

    def __init__(self) -> None:
        self.begun, self.ended = asyncio.Event(), asyncio.Event()

    async def __call__(self, request: Request) -> Response:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()
        raise AssertionError


async def test_a_client_that_waits_gets_the_answer() -> None:
    async def handler(request: Request) -> Response:
        return PlainTextResponse("found")

    assert (await while_wanted(handler)(request_of_client(stays=True))).body == b"found"


async def test_a_client_that_went_away_ends_the_work() -> None:
    handler = Endless()
    response = await while_wanted(handler)(request_of_client(stays=False))
    assert response.status_code == 499
    await asyncio.wait_for(handler.ended.wait(), 10)


@pytest.mark.parametrize("stays", [True, False])
async def test_an_error_of_the_handler_is_its_own(stays: bool) -> None:
    async def handler(request: Request) -> Response:
        raise LookupError("no such trace")

    with pytest.raises(LookupError, match="no such trace"):
        await while_wanted(handler)(request_of_client(stays=stays))


async def test_a_server_that_stops_ends_the_work_too() -> None:
    handler = Endless()
    asked = asyncio.ensure_future(while_wanted(handler)(request_of_client(stays=True)))
    await handler.begun.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await asyncio.wait_for(handler.ended.wait(), 10)
