"""A connection of HTTP/2: requests and answers, flow control both ways, limits, and its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from h2.errors import ErrorCodes
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from minitrace.http2.connection import REQUESTS, STREAM_WINDOW
from minitrace.http2.patience import AT_ONCE
from tests.http2.speaking import serving

pytestmark = pytest.mark.anyio

PING = bytes.fromhex("000008 06 00 00000000 0000000000000000")
SETTINGS = bytes.fromhex("000000 04 00 00000000")
PRIORITY = bytes.fromhex("000005 02 00 00000001 00000000 10")
DATA_OF_NO_STREAM = bytes.fromhex("000000 00 00 00000000")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the body of the request."""
    await Response(await Request(scope, receive).body())(scope, receive, send)


async def described(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with what the app was told of the request."""
    request = Request(scope, receive)
    text = f"{request.method} {scope['raw_path']!r} {scope['query_string']!r} {request.headers.getlist('host')}"
    await PlainTextResponse(text, headers={"connection": "close"})(scope, receive, send)


async def never(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer when the client is gone, and not before."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Gate:
    """An app that answers once it is opened; counts what waits in front of it."""

    def __init__(self) -> None:
        self.waiting = 0
        self.reached = asyncio.Event()
        self._event = asyncio.Event()

    def open(self) -> None:
        self._event.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.waiting += 1
        self.reached.set()
        await self._event.wait()
        await PlainTextResponse("in")(scope, receive, send)


async def test_a_request_comes_as_over_http_1() -> None:
    async with serving(described) as server, server.client() as client:
        answer = await client.ask("PUT", "/a%20b?c=d", [(b"host", b"localhost")])
    assert answer.status == 200
    assert answer.body == b"PUT b'/a%20b' b'c=d' ['localhost']"
    assert b"connection" not in answer.headers  # which HTTP/2 does not know


async def test_a_body_larger_than_the_windows_goes_both_ways() -> None:
    body = bytes(range(256)) * (5 * STREAM_WINDOW // 512)
    async with serving(echo, most_body_bytes=len(body)) as server, server.client() as client:
        assert (await client.ask("POST", body=body)).body == body


async def test_many_requests_at_once_are_answered_each_by_itself() -> None:
    async with serving(echo) as server, server.client() as client:
        streams = [client.begin("POST", is_end=False) for _ in range(50)]
        for stream in reversed(streams):
            await client.write(stream, b"%d" % stream)
        assert [(await client.answer(stream)).body for stream in streams] == [b"%d" % stream for stream in streams]


async def test_a_client_that_takes_nothing_holds_up_nobody_else() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(bytes(1_000_000))(scope, receive, send)

    async with serving(app) as server, server.client(window=1000) as slow, server.client() as other:
        slow.is_taking = False
        stream = slow.begin()
        assert len((await other.ask()).body) == 1_000_000
        while len(slow.answers[stream].body) < 1000:
            await slow.step()
        assert len(slow.answers[stream].body) == 1000
        slow.h2.increment_flow_control_window(1_000_000)
        slow.h2.increment_flow_control_window(1_000_000, stream)
        slow.flush()
        assert len((await slow.answer(stream)).body) == 1_000_000


async def test_a_head_answers_without_a_body() -> None:
    async with serving(described) as server, server.client() as client:
        answer = await client.ask("HEAD")
    assert (answer.status, answer.body, answer.has_ended) == (200, b"", True)
    assert int(answer.headers[b"content-length"]) > 0


async def test_who_asks_whether_to_send_is_told_to() -> None:
    async with serving(echo) as server, server.client() as client:
        stream = client.begin("POST", headers=[(b"expect", b"100-continue")], is_end=False)
        while not client.answers[stream].informed:
            await client.step()
        await client.write(stream, b"now")
        answer = await client.answer(stream)
    assert (answer.informed, answer.body) == ([b"100"], b"now")


async def test_an_answer_that_comes_early_tells_the_client_to_stop_sending() -> None:
    async with serving(described) as server, server.client() as client:
        stream = client.begin("POST", is_end=False)
        answer = await client.answer(stream)
        while answer.reset is None:
            await client.step()
        assert (answer.status, answer.reset) == (200, ErrorCodes.NO_ERROR)
        assert (await client.ask()).status == 200


async def test_what_an_app_did_not_read_is_given_back_to_the_window() -> None:
    async with serving(described, most_body_bytes=1 << 30) as server, server.client() as client:
        for _ in range(20):  # 4 MiB each, in a window of 16
            answer = await client.ask("POST", body=bytes(STREAM_WINDOW - 1))
            assert answer.status == 200


async def test_an_error_in_the_app_is_logged_and_answered_and_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/late":
            await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] != "/":
            raise RuntimeError("broken")
        await PlainTextResponse("fine")(scope, receive, send)

    async with serving(app) as server, server.client() as client:
        with caplog.at_level(logging.ERROR):
            assert (await client.ask(path="/early")).status == 500
            assert (await client.ask(path="/late")).reset == ErrorCodes.INTERNAL_ERROR
        assert (await client.ask()).body == b"fine"
    assert caplog.text.count("RuntimeError: broken") == 2


async def test_an_app_hears_that_its_client_took_the_request_back() -> None:
    heard = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(ClientDisconnect):
            await Request(scope, receive).body()
        heard.set()

    async with serving(app) as server, server.client() as client:
        stream = client.begin("POST", is_end=False)
        client.h2.reset_stream(stream, ErrorCodes.CANCEL)
        client.flush()
        await asyncio.wait_for(heard.wait(), 30)


async def test_an_app_hears_that_the_connection_is_lost() -> None:
    reached = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reached.set()
        await never(scope, receive, send)

    async with serving(app) as server:
        async with server.client() as client:
            client.begin()
            await asyncio.wait_for(reached.wait(), 30)
        await server.answered()
        assert not server.connections


@pytest.mark.parametrize("path", ["http://evil.example/", "", "localhost", "/\u00e9"])
async def test_a_path_that_names_a_host_or_is_none_resets_its_stream_alone(path: str) -> None:
    async with serving(described) as server, server.client() as client:
        stream = client.begin(path="/slow", method="POST", is_end=False)
        bad = client.begin(path=path) if path else client.begin(path="*nothing", method="\u00c9")
        assert (await client.answer(bad)).reset == ErrorCodes.PROTOCOL_ERROR
        await client.write(stream, b"x")
        assert (await client.answer(stream)).status == 200


async def test_a_broken_connection_is_told_so_and_ended_and_others_go_on() -> None:
    async with serving(described) as server, server.client() as broken, server.client() as other:
        broken.send(DATA_OF_NO_STREAM)
        assert await broken.closed() == ErrorCodes.PROTOCOL_ERROR
        assert (await other.ask()).status == 200


@pytest.mark.parametrize("frame", [PING, SETTINGS, PRIORITY], ids=["pings", "settings", "priorities"])
async def test_a_flood_of_frames_that_bring_nothing_ends_the_connection(frame: bytes) -> None:
    async with serving(described) as server, server.client() as client:
        assert (await client.ask()).status == 200
        client.send(frame * (AT_ONCE // 2))
        assert (await client.ask()).status == 200
        client.send(frame * AT_ONCE)
        assert await client.closed() == ErrorCodes.ENHANCE_YOUR_CALM


async def test_requests_taken_back_again_and_again_end_the_connection() -> None:
    gate = Gate()
    async with serving(gate) as server, server.client() as client:
        await client.step()
        for _ in range(AT_ONCE + 100):
            stream = client.begin()
            client.h2.reset_stream(stream)
        client.flush()
        assert await client.closed() == ErrorCodes.ENHANCE_YOUR_CALM
        assert gate.waiting <= REQUESTS


async def test_while_too_much_is_being_answered_requests_are_refused_though_taken_back() -> None:
    gate = Gate()
    async with serving(gate) as server, server.client() as client:
        await client.step()
        for _ in range(REQUESTS):
            client.h2.reset_stream(client.begin())
        client.flush()
        stream = client.begin()
        assert (await client.answer(stream)).reset == ErrorCodes.REFUSED_STREAM
        gate.open()
        await server.answered()
        assert (await client.ask()).status == 200


async def test_bodies_that_are_too_much_together_are_cut_off() -> None:
    async with serving(echo, most_body_bytes=1_000_000) as server, server.client() as client:
        first, second = (client.begin("POST", is_end=False) for _ in range(2))
        await client.write(first, bytes(600_000), is_end=False)
        await client.write(second, bytes(600_000))
        assert (await client.answer(second)).reset == ErrorCodes.ENHANCE_YOUR_CALM
        await client.write(first, b"end")
        assert len((await client.answer(first)).body) == 600_003


async def test_a_head_that_is_too_large_ends_the_connection() -> None:
    async with serving(described) as server, server.client() as client:
        await client.step()
        client.begin(headers=[(b"a", b"b" * 300_000)])
        assert await client.closed() == ErrorCodes.ENHANCE_YOUR_CALM


async def test_a_connection_that_asks_nothing_is_closed_after_a_while() -> None:
    async with serving(described, idle_s=0.05) as server, server.client() as client:
        assert (await client.ask()).status == 200
        assert await client.closed() == ErrorCodes.NO_ERROR


async def test_a_connection_that_waits_for_an_answer_is_not_idle() -> None:
    gate = Gate()
    async with serving(gate, idle_s=0.01) as server, server.client() as client:
        stream = client.begin()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.answer(stream), 0.1)
        gate.open()
        assert (await client.answer(stream)).body == b"in"


async def test_at_the_end_what_was_begun_is_answered_and_nothing_new_taken() -> None:
    gate = Gate()
    async with serving(gate) as server, server.client() as client:
        stream = client.begin()
        await gate.reached.wait()
        (connection,) = server.connections
        connection.shutdown()
        late = client.begin()
        assert (await client.answer(late)).reset == ErrorCodes.REFUSED_STREAM
        gate.open()
        assert (await client.answer(stream)).body == b"in"
        assert await client.closed() == ErrorCodes.NO_ERROR
        assert gate.waiting == 1


async def test_a_client_that_says_goodbye_still_gets_its_answers() -> None:
    gate = Gate()
    async with serving(gate) as server, server.client() as client:
        stream = client.begin()
        await gate.reached.wait()
        client.send(bytes.fromhex("000008 07 00 00000000 00000000 00000000") + PING)
        gate.open()
        assert (await client.answer(stream)).body == b"in"
        assert await client.closed() is None


async def test_a_stream_of_events_is_sent_as_it_comes() -> None:
    gate = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def parts() -> AsyncIterator[bytes]:
            yield b"first"
            await gate.wait()
            yield b"last"

        await StreamingResponse(parts())(scope, receive, send)

    async with serving(app) as server, server.client() as client:
        stream = client.begin()
        while not client.answers[stream].body:
            await client.step()
        assert client.answers[stream].body == b"first"
        gate.set()
        assert (await client.answer(stream)).body == b"firstlast"
