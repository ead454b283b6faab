"""Requests are read as they were written, and whatever else comes ends in an error that is ours."""

from __future__ import annotations

import asyncio
import socket
import string
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.errors import MinitraceError
from minitrace.testing.processes.exchange import Answer, Exchange, Head, NotHttp, Refused

NAMES = st.text(string.ascii_letters + "-", min_size=1, max_size=10)
VALUES = st.text(string.ascii_letters + string.digits + ":;=/ ", max_size=20).map(str.strip)
HOST = "POST /v1/traces HTTP/1.1\r\nHost: localhost\r\n"


def read(content: bytes) -> tuple[Head, bytes, bool]:
    """The first request in it, answered, and whether another may follow."""

    async def run() -> tuple[Head, bytes, bool]:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        with theirs:
            theirs.setblocking(False)
            loop = asyncio.get_running_loop()
            sending = asyncio.create_task(loop.sock_sendall(theirs, content))
            sending.add_done_callback(lambda _: theirs.shutdown(socket.SHUT_WR))
            try:
                exchange = Exchange(reader, writer)
                head = await exchange.head()
                body = await exchange.body(head)
                return head, body, await exchange.answer(Answer(200, {}, b"done"))
            finally:
                sending.cancel()
                writer.close()

    return asyncio.run(run())


def in_chunks(parts: list[bytes]) -> bytes:
    return b"".join(b"%X;x=y\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\ntrailer: 1\r\n\r\n"


@given(st.lists(st.tuples(NAMES, VALUES)), st.binary(), st.binary())
def test_a_body_of_some_length_is_read_and_no_more(pairs: list[tuple[str, str]], body: bytes, next: bytes) -> None:
    head = HOST + "".join(f"x-{name}: {value}\r\n" for name, value in pairs) + f"Content-Length: {len(body)}\r\n\r\n"
    found, content, _ = read(head.encode() + body + next)
    assert (found.method, found.path, content) == ("POST", "/v1/traces", body)
    for name in {name.lower() for name, _ in pairs}:
        assert found.headers[f"x-{name}"] == ", ".join(value for other, value in pairs if other.lower() == name)


@given(st.lists(st.binary(min_size=1)))
def test_a_body_in_chunks_is_the_same_in_one_piece(parts: list[bytes]) -> None:
    assert read(HOST.encode() + b"Transfer-Encoding: Chunked\r\n\r\n" + in_chunks(parts))[1] == b"".join(parts)


@given(st.binary())
def test_anything_else_is_an_end_or_an_error_of_ours(content: bytes) -> None:
    host = HOST.encode()
    for head in (b"", host + b"Transfer-Encoding: chunked\r\n\r\n", host + b"Content-Length: ", host):
        with suppress(EOFError, MinitraceError):
            read(head + content)


@pytest.mark.parametrize("size", [b"-5", b"0x5", b"1_0", b"", b"1" * 70_000])
def test_what_is_no_size_of_a_chunk_is_refused(size: bytes) -> None:
    with pytest.raises(Refused):
        read(HOST.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + size + b"\r\nhello\r\n0\r\n\r\n")


@pytest.mark.parametrize("length", ["-1", "+1", "0x1", "one", "1, 2"])
def test_what_is_no_length_is_no_request(length: str) -> None:
    with pytest.raises(NotHttp, match="Content-Length"):
        read(f"{HOST}Content-Length: {length}\r\n\r\n1".encode())


@pytest.mark.parametrize(
    ("version", "connection", "may_follow"),
    [("HTTP/1.1", "keep-alive", True), ("HTTP/1.1", "Close", False), ("HTTP/1.0", "", False)],
)
def test_a_client_says_whether_it_has_more_to_ask(version: str, connection: str, may_follow: bool) -> None:
    request = f"GET / {version}\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n"
    assert read(request.encode())[2] == may_follow
