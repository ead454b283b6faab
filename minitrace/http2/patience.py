"""How much a client may send that brings nothing: pings, settings, priorities, empty frames, requests taken back."""

from __future__ import annotations

from h2 import events

AT_ONCE = 1000  # gRPC pings some times a minute, and takes back what ran out of time: at most a hundred calls at once
PER_SECOND = 100
_IDLE = (
    events.PingReceived,
    events.PriorityUpdated,
    events.RemoteSettingsChanged,
    events.UnknownFrameReceived,
)


class Patience:
    """A store of it that is used up by such frames and comes back with time, given in seconds."""

    def __init__(self, now_s: float) -> None:
        self._left = float(AT_ONCE)
        self._then_s = now_s

    def lasts(self, happened: list[events.Event], now_s: float) -> bool:
        """Whether there is some left after these events."""
        self._left = min(AT_ONCE, self._left + (now_s - self._then_s) * PER_SECOND)
        self._then_s = now_s
        self._left -= sum(map(_brings_nothing, happened))
        return self._left > 0


def _brings_nothing(event: events.Event) -> bool:
    if isinstance(event, events.StreamReset):
        return event.remote_reset  # not of what was still on its way when we reset a stream
    if isinstance(event, events.DataReceived):
        return not event.data and event.stream_ended is None
    return isinstance(event, _IDLE)
