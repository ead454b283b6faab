"""One connection that speaks HTTP/2: bytes to requests, answers to bytes, by way of h2."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, MutableSet
from typing import Any

from h2 import events
from h2.config import H2Configuration
from h2.connection import ConnectionInputs, ConnectionState, H2Connection, H2ConnectionStateMachine
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from starlette.types import ASGIApp

from minitrace.http2.patience import Patience
from minitrace.http2.scope import Unfit, scope_of
from minitrace.http2.stream import Headers, Stream

STREAMS = 100  # at once
# A stream that is taken back is none to HTTP/2, but its request may still be at work. Not just as many: a client hears
# the end of an answer, and asks anew, a moment before the request has ended here.
REQUESTS = 2 * STREAMS
FRAME_BYTES = 64 << 10  # h2 takes a head in at most 64 of them: 4 MiB, as over HTTP/1.1
HEAD_BYTES = 256 << 10  # unpacked, which goes on until there are more: a field costs Python some 15 µs
# What a client may send before we read it: of one request, and of all.
STREAM_WINDOW = 4 << 20
CONNECTION_WINDOW = 16 << 20
LINGER_S = 5
DEFAULT_WINDOW = 65_535  # RFC 9113, 6.9.2


class Connection(asyncio.Protocol):
    """A connection whose first bytes were HTTP/2's preface.

    Args:
        app: answers the requests.
        app_state: what the app's lifespan left for them.
        connections: all that are open, where this one stands while it is.
        tasks: all requests that are being answered.
        default_headers: what every answer begins with; asked each time.
        most_body_bytes: how much the bodies of all requests that are being answered may have together.
        idle_s: after how long without a request it is closed.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        app_state: dict[str, Any],
        connections: MutableSet[Any],
        tasks: MutableSet[asyncio.Task[None]],
        default_headers: Callable[[], Headers],
        most_body_bytes: int,
        idle_s: float,
    ) -> None:
        self.transport: asyncio.Transport
        self._app = app
        self._app_state = app_state
        self._connections = connections
        self._tasks = tasks
        self._default_headers = default_headers
        self._most_body_bytes = most_body_bytes
        self._idle_s = idle_s
        self._h2 = _h2_connection()
        self._streams: dict[int, Stream] = {}  # until their answer is complete and their task has ended
        self._idle: asyncio.TimerHandle | None = None
        self._is_stopping = False
        self._patience = Patience(time.monotonic())
        self._writable = asyncio.Event()
        self._window = asyncio.Event()  # set anew whenever a client takes more

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; also after another protocol had the first bytes, which then come again."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._connections.add(self)
        self._writable.set()
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(CONNECTION_WINDOW - DEFAULT_WINDOW)
        self._flush()
        self._watch_idleness()

    def data_received(self, data: bytes) -> None:
        """Take what came; what breaks the protocol, or wears us out, ends the connection with GOAWAY."""
        if self.transport.is_closing():
            return
        try:
            happened = self._h2.receive_data(data)
        except ProtocolError:  # h2 has said so already
            self._close()
            return
        if not self._patience.lasts(happened, time.monotonic()):
            self._h2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            self._close()
            return
        for event in happened:
            self._take(event)
        self._flush()
        self._watch_idleness()

    def connection_lost(self, error: Exception | None) -> None:
        """End: nobody waits for an answer any more."""
        self._connections.discard(self)
        if self._idle:
            self._idle.cancel()
        for stream in self._streams.values():
            stream.lose()
        self._writable.set()
        self._window.set()

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self._writable.clear()
        self.transport.pause_reading()  # or it could have us pile up answers to its pings

    def resume_writing(self) -> None:
        """The client has read what was written."""
        self._writable.set()
        self.transport.resume_reading()

    def shutdown(self) -> None:
        """Finish what was begun, take nothing new, and close."""
        if not self._is_stopping and not self.transport.is_closing():
            self._is_stopping = True
            self._h2.close_connection()
            self._flush()
        self._close_if_done()

    def send_headers(self, stream_id: int, headers: Headers, *, is_end: bool) -> None:
        """See `stream.Wire`."""
        if self._is_open(stream_id):
            self._h2.send_headers(stream_id, headers, end_stream=is_end)
            self._flush()

    async def send_data(self, stream_id: int, content: bytes, *, is_end: bool) -> None:
        """See `stream.Wire`."""
        rest = memoryview(content)
        while self._is_open(stream_id):
            size = min(len(rest), self._h2.max_outbound_frame_size, self._h2.local_flow_control_window(stream_id))
            if size > 0 or not rest:
                part, rest = rest[:size], rest[size:]
                self._h2.send_data(stream_id, bytes(part), end_stream=is_end and not rest)
                self._flush()
                await self._writable.wait()
                if not rest:
                    return
            else:
                self._window.clear()
                await self._window.wait()

    def acknowledge(self, stream_id: int, size: int) -> None:
        """See `stream.Wire`."""
        if size and not self.transport.is_closing():
            self._h2.acknowledge_received_data(size, stream_id)
            self._flush()

    def reset(self, stream_id: int, code: ErrorCodes) -> None:
        """See `stream.Wire`."""
        if not self.transport.is_closing():
            stream = self._h2.streams.get(stream_id)
            if stream and not stream.closed:
                self._h2.reset_stream(stream_id, code)
                self._flush()

    def _take(self, event: events.Event) -> None:
        if isinstance(event, events.RequestReceived):
            self._begin(event)
        elif isinstance(event, events.DataReceived):
            self._take_data(event)
        elif isinstance(event, events.StreamEnded) and event.stream_id in self._streams:
            self._streams[event.stream_id].finish()
        elif isinstance(event, events.StreamReset) and event.stream_id in self._streams:
            self._streams[event.stream_id].lose()
        if isinstance(event, events.WindowUpdated | events.RemoteSettingsChanged | events.StreamReset):
            self._window.set()
        elif isinstance(event, events.ConnectionTerminated):
            self._is_stopping = True
            self._close_if_done()

    def _begin(self, event: events.RequestReceived) -> None:
        assert event.stream_id
        assert event.headers
        if self._is_stopping or len(self._streams) >= REQUESTS:
            self.reset(event.stream_id, ErrorCodes.REFUSED_STREAM)
            return
        try:
            scope = scope_of(event.headers, self.transport, self._app_state)
        except Unfit:
            self.reset(event.stream_id, ErrorCodes.PROTOCOL_ERROR)
            return
        stream = self._streams[event.stream_id] = Stream(self, event.stream_id, scope, self._default_headers())
        task = asyncio.get_running_loop().create_task(stream.run(self._app))
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._end(event.stream_id, task))

    def _take_data(self, event: events.DataReceived) -> None:
        assert event.stream_id
        size = event.flow_controlled_length or 0
        stream = self._streams.get(event.stream_id)
        if stream is None or stream.is_gone:
            self.acknowledge(event.stream_id, size)
            return
        stream.take(event.data or b"", size)
        if sum(other.size_bytes for other in self._streams.values()) > self._most_body_bytes:
            self.reset(event.stream_id, ErrorCodes.ENHANCE_YOUR_CALM)
            stream.lose()

    def _end(self, stream_id: int | None, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._streams.pop(stream_id or 0, None)
        self._close_if_done()
        self._watch_idleness()

    def _close_if_done(self) -> None:
        if self._is_stopping and not self._streams:
            self._close()

    def _close(self) -> None:
        """Close, once what waits has been written; a client that does not read it is not waited for."""
        self._flush()
        self.transport.close()
        asyncio.get_running_loop().call_later(LINGER_S, self.transport.abort)

    def _watch_idleness(self) -> None:
        if self._idle:
            self._idle.cancel()
        if not self._streams and not self.transport.is_closing():
            self._idle = asyncio.get_running_loop().call_later(self._idle_s, self.shutdown)

    def _is_open(self, stream_id: int) -> bool:
        """Whether something can still be sent there."""
        stream = self._h2.streams.get(stream_id)
        return not self.transport.is_closing() and stream is not None and not stream.closed

    def _flush(self) -> None:
        if (data := self._h2.data_to_send()) and not self.transport.is_closing():
            self.transport.write(data)


class _StateMachine(H2ConnectionStateMachine):
    """h2's, but GOAWAY is no end: either side may say it, and what was begun is finished (RFC 9113, 6.8)."""

    _transitions = H2ConnectionStateMachine._transitions | {
        (ConnectionState.SERVER_OPEN, said): (None, ConnectionState.SERVER_OPEN)
        for said in (ConnectionInputs.RECV_GOAWAY, ConnectionInputs.SEND_GOAWAY)
    }


def _h2_connection() -> H2Connection:
    connection = H2Connection(H2Configuration(client_side=False, header_encoding=None))
    connection.state_machine = _StateMachine()
    connection.local_settings = Settings(
        client=False,
        initial_values={
            SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS,
            SettingCodes.MAX_HEADER_LIST_SIZE: HEAD_BYTES,
            SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
            SettingCodes.MAX_FRAME_SIZE: FRAME_BYTES,
        },
    )
    # At once, not when the client has acknowledged it: grpc's C core sends large frames before that.
    connection.max_inbound_frame_size = FRAME_BYTES
    connection.decoder.max_header_list_size = HEAD_BYTES
    return connection
