"""How long frames are borne that bring nothing."""

from __future__ import annotations

import pytest
from h2 import events

from minitrace.http2.patience import AT_ONCE, PER_SECOND, Patience


def reset(*, is_remote: bool) -> events.Event:
    event = events.StreamReset(stream_id=1)
    event.remote_reset = is_remote
    return event


def data(content: bytes) -> events.Event:
    return events.DataReceived(stream_id=1, data=content, flow_controlled_length=len(content))


PING = events.PingReceived(ping_data=bytes(8))
IDLE = [PING, events.RemoteSettingsChanged(), reset(is_remote=True), data(b"")]
AT_WORK = [events.WindowUpdated(stream_id=0, delta=1), reset(is_remote=False), data(b"x")]


@pytest.mark.parametrize("event", IDLE, ids=lambda event: type(event).__name__)
def test_so_many_are_borne_at_once_and_no_more(event: events.Event) -> None:
    patience = Patience(0)
    assert patience.lasts([event] * (AT_ONCE - 1), 0)
    assert not patience.lasts([event], 0)


@pytest.mark.parametrize("event", AT_WORK, ids=lambda event: type(event).__name__)
def test_what_belongs_to_a_request_costs_none(event: events.Event) -> None:
    assert Patience(0).lasts([event] * 10 * AT_ONCE, 0)


def test_it_comes_back_with_time() -> None:
    patience = Patience(0)
    for second in range(100):
        assert patience.lasts([PING] * (PER_SECOND - 1), second)
    assert patience.lasts([PING] * (AT_ONCE - 1), 1_000)


def test_a_long_silence_saves_up_no_more_than_there_was_at_first() -> None:
    assert not Patience(0).lasts([PING] * AT_ONCE, 1_000_000)
