"""A server with a `Connection` in front of an app, and a client that speaks HTTP/2 to it, or breaks it on purpose.

```python
async with serving(app) as server, server.client() as client:
    answer = await client.ask(path="/", body=b"x")
```
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from h2 import events
from h2.config import H2Configuration
from h2.connection import ConnectionInputs, ConnectionState, H2Connection, H2ConnectionStateMachine
from h2.settings import SettingCodes, Settings
from starlette.types import ASGIApp

from minitrace.http2.connection import Connection

Headers = list[tuple[bytes, bytes]]
WAIT_S = 30


class _StateMachine(H2ConnectionStateMachine):
    """Of a client that waits for its answers after a GOAWAY."""

    _transitions = H2ConnectionStateMachine._transitions | {
        (ConnectionState.CLIENT_OPEN, ConnectionInputs.RECV_GOAWAY): (None, ConnectionState.CLIENT_OPEN)
    }


@dataclass
class Answer:
    """What came on a stream."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[bytes, bytes] = field(default_factory=dict)
    informed: list[bytes] = field(default_factory=list)
    reset: int | None = None
    has_ended: bool = False

    @property
    def status(self) -> int:
        """HTTP's status; 0 before there is one."""
        return int(self.headers.get(b":status", b"0"))


class Client:
    """One connection. `goaway` is the code that the server ended it with."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, window: int = 1 << 20) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=True, validate_outbound_headers=False))
        self.answers: dict[int, Answer] = {}
        self.goaway: int | None = None
        self.is_closed = False
        self.is_taking = True  # whether what was received is acknowledged
        self._reader, self._writer = reader, writer
        self.h2.state_machine = _StateMachine()
        self.h2.local_settings = Settings(client=True, initial_values={SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        """Send what h2 has made."""
        self._writer.write(self.h2.data_to_send())

    def send(self, content: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(content)

    def begin(
        self, method: str = "GET", path: str = "/", headers: Headers | None = None, *, is_end: bool = True
    ) -> int:
        """Send the head of a request; gives its stream."""
        stream_id = self.h2.get_next_available_stream_id()
        head = [(b":method", method.encode()), (b":scheme", b"http"), (b":authority", b"localhost")]
        self.h2.send_headers(stream_id, [*head, (b":path", path.encode()), *(headers or [])], end_stream=is_end)
        self.answers[stream_id] = Answer()
        self.flush()
        return stream_id

    async def write(self, stream_id: int, body: bytes, *, is_end: bool = True) -> None:
        """Send a body, as far and as fast as the server lets us; until the stream is reset."""
        while body and self.answers[stream_id].reset is None:
            size = min(self.h2.local_flow_control_window(stream_id), self.h2.max_outbound_frame_size, len(body))
            if not size:
                await self.step()
                continue
            part, body = body[:size], body[size:]
            self.h2.send_data(stream_id, part, end_stream=is_end and not body)
            self.flush()

    async def ask(
        self, method: str = "GET", path: str = "/", headers: Headers | None = None, body: bytes = b""
    ) -> Answer:
        """The whole answer to a request."""
        stream_id = self.begin(method, path, headers, is_end=not body)
        await self.write(stream_id, body)
        return await self.answer(stream_id)

    async def answer(self, stream_id: int) -> Answer:
        """The answer on a stream, once it has ended, or the connection has."""
        answer = self.answers[stream_id]
        while not (answer.has_ended or answer.reset is not None or self.is_closed):
            await self.step()
        return answer

    async def closed(self) -> int | None:
        """The code that the server closes the connection with."""
        while not self.is_closed:
            await self.step()
        return self.goaway

    async def step(self) -> None:
        """Take what the server sends next."""
        data = await asyncio.wait_for(self._read(), WAIT_S)
        if not data:
            self.is_closed = True
            return
        for event in self.h2.receive_data(data):
            self._take(event)
        self.flush()

    async def _read(self) -> bytes:
        try:
            return await self._reader.read(1 << 16)
        except ConnectionError:
            return b""

    def _take(self, event: events.Event) -> None:
        answer = self.answers.get(getattr(event, "stream_id", None) or 0, Answer())
        if isinstance(event, events.ResponseReceived):
            answer.headers = {bytes(name): bytes(value) for name, value in event.headers or []}
        elif isinstance(event, events.InformationalResponseReceived):
            answer.informed += [bytes(value) for _, value in event.headers or []]
        elif isinstance(event, events.TrailersReceived):
            answer.trailers = {bytes(name): bytes(value) for name, value in event.headers or []}
        elif isinstance(event, events.DataReceived):
            answer.body += event.data or b""
            if self.is_taking:
                self.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
        elif isinstance(event, events.StreamEnded):
            answer.has_ended = True
        elif isinstance(event, events.StreamReset):
            answer.reset = int(event.error_code or 0)
        elif isinstance(event, events.ConnectionTerminated):
            self.goaway = int(event.error_code or 0)


class Serving:
    """A server; `connections` and `tasks` are those that uvicorn's server would wait for."""

    def __init__(self) -> None:
        self.connections: set[Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def answered(self) -> None:
        """Wait until no request is being answered."""
        if self.tasks:
            await asyncio.wait(set(self.tasks))

    @asynccontextmanager
    async def client(self, **settings: Any) -> AsyncIterator[Client]:
        """One more connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Client(reader, writer, **settings)
        finally:
            writer.close()


@asynccontextmanager
async def serving(app: ASGIApp, *, idle_s: float = 60, most_body_bytes: int = 1 << 20) -> AsyncIterator[Serving]:
    """A server that has the app answer whoever speaks HTTP/2."""
    it = Serving()

    def connection() -> Connection:
        return Connection(
            app,
            app_state={},
            connections=it.connections,
            tasks=it.tasks,
            default_headers=list,
            most_body_bytes=most_body_bytes,
            idle_s=idle_s,
        )

    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
    it.port = server.sockets[0].getsockname()[1]
    try:
        yield it
    finally:
        server.close()
        for task in list(it.tasks):
            task.cancel()
        await asyncio.gather(*it.tasks, return_exceptions=True)
        for open_connection in list(it.connections):
            open_connection.transport.abort()
