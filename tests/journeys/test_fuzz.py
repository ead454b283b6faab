"""Bytes that no client would send, to a real server: it lives, and others are served meanwhile.

| kind    | what comes                                                                  |
|---------|-----------------------------------------------------------------------------|
| noise   | any bytes                                                                   |
| begun   | as much of HTTP/2's preface, or of a request of HTTP/1.1, and then noise    |
| frames  | the preface, and frames with heads that could be, but bodies that could not |
| spoilt  | a good call, of which bytes are changed, left out, doubled or exchanged     |
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable

import grpc
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection

from minitrace.otlp.encode import encode_export
from minitrace.otlp.http2 import PREFACE
from tests.journeys.test_lifetime import stored
from tests.running import Server
from tests.samples import span
from tests.web.calling import TRACES, packed

pytestmark = pytest.mark.journey

AT_ONCE = 20
HTTP_1 = b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
SETTINGS = bytes.fromhex("000000 04 00 00000000")
STREAMS = (0, 0, 1, 1, 1, 2, 3, 5, 0x7FFFFFFF, 0x80000001)
LENGTHS = (0, 0, 1, 4, 5, 6, 8, 8, 9, 12, 40, 255, 16_384, 16_385, 65_536, 70_000)


def good_call() -> list[bytes]:
    """A connection with three calls and what keeps one alive, in the pieces that h2 made of it."""
    client = H2Connection(H2Configuration(client_side=True))
    client.initiate_connection()
    pieces = [client.data_to_send()]
    for stream, message in ((1, b""), (3, encode_export([span("fuzz")])), (5, b"\xff" * 300)):
        head = [(":method", "POST"), (":scheme", "http"), (":authority", "localhost"), (":path", TRACES)]
        client.send_headers(stream, [*head, ("content-type", "application/grpc"), ("te", "trailers")])
        pieces.append(client.data_to_send())
        client.send_data(stream, packed(message), end_stream=stream != 5)
        client.ping(b"12345678")
        pieces.append(client.data_to_send())
    client.increment_flow_control_window(1000)
    client.increment_flow_control_window(1000, 5)
    client.reset_stream(5)
    client.close_connection()
    return [*pieces, client.data_to_send()]


GOOD = good_call()


def noise(chance: random.Random) -> bytes:
    return chance.randbytes(chance.choice((1, 9, 24, 100, 5_000)))


def begun(chance: random.Random) -> bytes:
    start = chance.choice((PREFACE, PREFACE + SETTINGS, HTTP_1))
    return start[: chance.randint(1, len(start))] + noise(chance)


def frame(chance: random.Random) -> bytes:
    length = chance.choice(LENGTHS)
    kind = chance.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 10, 255))
    head = length.to_bytes(3) + bytes([kind, chance.choice((0, 1, 4, 5, 8, 0x20, 0x2D, 0xFF))])
    content = chance.choice((bytes(length), chance.randbytes(length), b"\x82\x86\x84"[:length].ljust(length, b"\x84")))
    return head + chance.choice(STREAMS).to_bytes(4) + content


def frames(chance: random.Random) -> bytes:
    return PREFACE + SETTINGS + b"".join(frame(chance) for _ in range(chance.randint(1, 8)))


def spoilt(chance: random.Random) -> bytes:
    pieces = list(GOOD)
    for _ in range(chance.randint(1, 3)):
        where = chance.randrange(len(pieces))
        spoil = chance.choice((changed, shortened, doubled, exchanged, with_frame))
        spoil(chance, pieces, where)
    return b"".join(pieces)


def changed(chance: random.Random, pieces: list[bytes], where: int) -> None:
    if content := bytearray(pieces[where]):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        pieces[where] = bytes(content)


def shortened(chance: random.Random, pieces: list[bytes], where: int) -> None:
    pieces[where] = pieces[where][: chance.randint(0, len(pieces[where]))]


def doubled(chance: random.Random, pieces: list[bytes], where: int) -> None:
    pieces.insert(where, pieces[where])


def exchanged(chance: random.Random, pieces: list[bytes], where: int) -> None:
    other = chance.randrange(len(pieces))
    pieces[where], pieces[other] = pieces[other], pieces[where]


def with_frame(chance: random.Random, pieces: list[bytes], where: int) -> None:
    pieces.insert(where, frame(chance))


KINDS: list[Callable[[random.Random], bytes]] = [noise, begun, frames, spoilt]


def send_all(port: int, cases: list[bytes]) -> None:
    """Send each on a connection of its own, all open at once, and wait until the server has closed them."""
    connections = [socket.create_connection(("localhost", port), timeout=30) for _ in cases]
    for connection, content in zip(connections, cases, strict=True):
        with connection:
            try:
                connection.sendall(content)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 16):
                    pass
            except OSError:  # it was closed before it had all
                pass


def survives(server: Server, seed: int, cases: int) -> None:
    """Have the server take so many cases, and a good client a call between each few."""
    chance = random.Random(seed)
    with grpc.insecure_channel(f"localhost:{server.port}") as channel:
        export = channel.unary_unary(TRACES)
        for number in range(cases // AT_ONCE):
            send_all(server.port, [chance.choice(KINDS)(chance) for _ in range(AT_ONCE)])
            assert export(encode_export([span(f"good {number}")]), timeout=30) == b""
    assert server.stop() == 0
    assert "Traceback" not in server.stderr
    assert {f"good {number}" for number in range(cases // AT_ONCE)} <= stored(server.path)


def test_two_thousand_connections_of_nonsense_disturb_nobody(server: Server) -> None:
    survives(server, seed=1, cases=2_000)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 12))
def test_many_more_connections_of_nonsense_disturb_nobody(server: Server, seed: int) -> None:
    survives(server, seed, cases=10_000)
