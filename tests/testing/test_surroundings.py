"""A test finds a clean context and an environment that leads here, and leaves both as they were."""

from __future__ import annotations

import os
from typing import Literal

import pytest
from opentelemetry import baggage, context, trace

from minitrace.testing import capture
from tests.testing.programs import run


def test_a_span_that_somebody_left_current_is_no_parent() -> None:
    leaked = trace.set_span_in_context(trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=True)))
    token = context.attach(baggage.set_baggage("user", "x", leaked))
    try:
        with capture() as traces:
            assert baggage.get_all() == {}
            trace.get_tracer("app").start_span("root").end()
        assert baggage.get_all() == {"user": "x"}
    finally:
        context.detach(token)
    assert traces.one().parent_id is None


def test_what_a_test_leaves_current_is_gone_after_it() -> None:
    with capture():
        context.attach(baggage.set_baggage("user", "x"))
    assert baggage.get_all() == {}


def test_a_context_is_left_behind_on_another_thread_of_control_without_a_word() -> None:
    """An asynchronous fixture is set up in one task and torn down in another."""
    program = """
    import asyncio
    import opentelemetry.context
    from minitrace.testing import capture
    async def fixture():
        with capture():
            yield
    async def main():
        generator = fixture()
        await asyncio.create_task(anext(generator))
        await asyncio.create_task(anext(generator, None))
    asyncio.run(main())
    """
    assert run(program) == ""  # nor anything on standard error


def test_children_inherit_an_environment_that_leads_here() -> None:
    with capture() as traces:
        assert os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] == traces.endpoint
        assert traces.endpoint.endswith(f"/t/{traces.capture.token}")


@pytest.mark.parametrize("env", ["set", "keep", "off"])
def test_the_environment_is_exactly_as_it_was(
    env: Literal["set", "keep", "off"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    monkeypatch.setenv("NO_PROXY", "")
    before = dict(os.environ)
    with pytest.raises(ZeroDivisionError), capture(env=env):
        raise ZeroDivisionError
    assert dict(os.environ) == before


def test_what_a_test_sets_itself_does_not_outlive_the_capture() -> None:
    with capture():
        os.environ["OTEL_TRACES_SAMPLER"] = "always_off"
        del os.environ["OTEL_BSP_SCHEDULE_DELAY"]
    assert {"OTEL_TRACES_SAMPLER", "OTEL_BSP_SCHEDULE_DELAY"}.isdisjoint(os.environ)


def test_ours_wins_unless_what_is_set_is_to_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    names = "OTEL_SDK_DISABLED", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_EXPORTER"
    seen = {}
    for env in ("set", "keep", "off"):
        with capture(env=env):
            seen[env] = [os.environ.get(name) for name in names]
    assert seen == {
        "set": [None, "always_on", "otlp"],
        "keep": ["true", "always_off", "otlp"],
        "off": ["true", "always_off", None],
    }


def test_lists_that_are_to_be_kept_are_added_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "example.com")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=a")
    with capture(env="keep") as traces:
        assert os.environ["NO_PROXY"] == "example.com,127.0.0.1,localhost"
        assert os.environ["OTEL_RESOURCE_ATTRIBUTES"] == f"team=a,minitrace.test.id={traces.capture.token}"


def test_a_capture_within_another_has_its_own_address() -> None:
    with capture() as outer:
        with capture() as inner:
            assert os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] == inner.endpoint
        assert os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] == outer.endpoint
    assert outer.endpoint != inner.endpoint


def test_the_environment_for_a_child_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with capture(env="off", bsp_delay_ms=20) as traces:
        assert traces.env["PATH"] == os.environ["PATH"]
        assert traces.env["OTEL_EXPORTER_OTLP_ENDPOINT"] == traces.endpoint
        assert traces.env["OTEL_BSP_SCHEDULE_DELAY"] == "20"
        assert "OTEL_SDK_DISABLED" not in traces.env
        assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in os.environ


def test_without_an_environment_to_set_there_is_no_thread_and_no_socket() -> None:
    program = """
    import socket, threading
    from minitrace.testing import capture
    opened = []
    socket.socket.__init__ = lambda *args, **kwargs: opened.append(args)
    with capture(env="off") as traces:
        traces.find()
    print(threading.active_count(), opened)
    """
    assert run(program) == "1 []"
