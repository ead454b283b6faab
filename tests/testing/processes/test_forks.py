"""Forked children send their spans home, whatever their parent was doing when it forked."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from minitrace.otlp.encode import encode_export
from minitrace.testing import Traces, capture
from minitrace.testing.processes import forks, receiver
from tests.samples import span
from tests.testing.sending import send

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

PROVIDER = TracerProvider(shutdown_on_exit=False, resource=Resource({"process.pid": os.getpid()}))
TRACER = PROVIDER.get_tracer("tests")
LONG_S = 30


@pytest.fixture
def traces() -> Iterator[Traces]:
    with capture() as opened:
        yield opened


def forked(act: Callable[[], object]) -> int:
    """The id of a forked child that does something. If it hangs it is killed: that is what these tests look for."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(LONG_S)
        try:
            act()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return pid


def wait_for_end(pid: int) -> None:
    """Until a child has ended, which it should do well."""
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def in_child(act: Callable[[], object]) -> int:
    """Do something in a forked child; its id."""
    pid = forked(act)
    wait_for_end(pid)
    return pid


def make_span(name: str) -> None:
    TRACER.start_span(name).end()


def test_a_span_is_home_when_it_has_ended(traces: Traces) -> None:
    pid = in_child(lambda: make_span("forked"))
    [found] = traces.find()
    assert (found.name, found.origin, found.pid) == ("forked", "fork", pid)
    assert found.resource["process.pid"] == pid


def make_spans(name: str) -> None:
    for number in range(50):
        make_span(f"{name} {number}")


def test_children_of_children_have_connections_of_their_own(traces: Traces) -> None:
    def make_and_fork() -> None:
        make_span("before")
        grandchild = forked(partial(make_spans, "grandchild"))
        make_spans("child")
        wait_for_end(grandchild)

    in_child(make_and_fork)
    wanted = ["before", *(f"{name} {number}" for name in ("child", "grandchild") for number in range(50))]
    assert sorted(traces.find().names) == sorted(wanted)


def test_threads_of_a_child_take_turns(traces: Traces) -> None:
    def make_spans() -> None:
        threads = [threading.Thread(target=make_span, args=[f"thread {number}"]) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    in_child(make_spans)
    assert sorted(traces.find().names) == [f"thread {number}" for number in range(8)]


def test_locks_that_other_threads_held_at_the_fork_are_free_in_the_child(traces: Traces) -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with traces.capture.condition:
            held.set()
            done.wait(LONG_S)

    holding = threading.Thread(target=hold)
    holding.start()
    held.wait(LONG_S)

    def look() -> None:
        make_span("forked")
        traces.count()

    pid = forked(look)
    done.set()
    holding.join()
    wait_for_end(pid)
    assert traces.find().names == ["forked"]


def test_the_child_keeps_none_of_its_spans(traces: Traces) -> None:
    def make_and_count() -> None:
        make_span("forked")
        assert traces.count() == 0

    in_child(make_and_count)
    assert traces.count() == 1


FORKING = """
import os, threading, time, warnings
from minitrace.testing import capture
from minitrace.testing.processes import fork_warning
from minitrace.testing.processes import receiver

warnings.simplefilter("always")

def fork():
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)

with capture():
    for _ in range(50):
        fork()
    due, loop = threading.Event(), receiver._server._loop
    loop.call_soon_threadsafe(loop.call_later, fork_warning.SHOWN_AFTER_S, due.set)
    due.wait()
    print("left", [one for one in warnings.filters if one[1] and "multi-threaded" in one[1].pattern])
    threading.Thread(target=time.sleep, args=[0.5], daemon=True).start()
    fork()
"""


def test_python_warns_of_the_programs_threads_at_a_fork_and_not_of_ours() -> None:
    done = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, check=True)
    assert done.stdout == "left []\n"
    assert done.stderr.count("multi-threaded") == (sys.version_info >= (3, 12))


def test_a_fork_without_the_environment_starts_the_receiver_itself() -> None:
    with capture(env="off") as traces:
        in_child(lambda: make_span("forked"))
    assert traces.find().names == ["forked"]


def test_a_child_that_captures_has_a_receiver_of_its_own(traces: Traces) -> None:
    def capture_itself() -> None:
        before = forks.homes[os.getppid()]
        with capture() as own:
            assert receiver.endpoint() != before
            make_span("own")
            in_child(lambda: make_span("grandchild"))
            assert own.find().names == ["own", "grandchild"]

    in_child(capture_itself)
    assert traces.count() == 0


def test_a_child_that_runs_an_event_loop_captures_too(traces: Traces) -> None:
    async def run() -> None:
        with capture() as own:
            body = encode_export([span("sent")])
            await asyncio.to_thread(send, f"/t/{own.capture.token}/v1/traces", body)
            assert own.find().names == ["sent"]

    in_child(lambda: asyncio.run(run()))


def test_the_parent_still_takes_requests_after_many_forks(traces: Traces) -> None:
    for number in range(20):
        in_child(partial(make_span, f"span {number}"))
    assert traces.count() == 20


THREADS_AT_FORK = """
import os, threading
names = lambda: print([thread.name for thread in threading.enumerate()])
os.register_at_fork(before=names)  # the first one registered is called last
from minitrace.testing import capture
with capture() as traces:
    traces.endpoint
    if os.fork() == 0:
        os._exit(0)
    os.wait()
names()
"""


def test_no_thread_of_ours_runs_at_the_moment_of_a_fork() -> None:
    printed = subprocess.run([sys.executable, "-c", THREADS_AT_FORK], capture_output=True, text=True, check=True)
    assert printed.stdout.splitlines() == ["['MainThread']", "['MainThread', 'minitrace receiver']"]


LEAVES_A_CHILD = """
import os, time
from minitrace.testing import capture
with capture() as traces:
    print(traces.endpoint, flush=True)
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        time.sleep(60)
    os._exit(0)
"""


def test_a_child_does_not_hold_the_port_of_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", LEAVES_A_CHILD], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout
        url = urlsplit(program.stdout.readline())
        child = int(program.stdout.readline())
        program.wait(LONG_S)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((url.hostname or "", url.port or 0), timeout=5)
        os.kill(child, signal.SIGKILL)


def test_a_child_whose_parent_is_gone_ends_soon(traces: Traces) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        gone = url_of(closed)

    def outlive() -> None:
        forks.homes[traces.capture.pid] = gone
        start = time.monotonic()
        make_spans("lost")
        assert time.monotonic() - start < forks.TIMEOUT_S

    in_child(outlive)
    assert traces.count() == 0


def test_a_child_waits_once_for_a_parent_that_does_not_answer(traces: Traces, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:

        def wait_in_vain() -> None:
            forks.homes[traces.capture.pid] = url_of(silent)
            start = time.monotonic()
            make_spans("lost")
            assert 0.1 <= time.monotonic() - start < 2

        in_child(wait_in_vain)


def url_of(server: socket.socket) -> str:
    return f"http://127.0.0.1:{server.getsockname()[1]}"


CHILD_ENDS_AS_PROGRAMS_DO = """
import os, sys
from minitrace.testing import capture
from opentelemetry import trace
tracer = trace.get_tracer("tests")
with capture() as traces:
    for number in range(2):
        if os.fork() == 0:
            tracer.start_span(f"child {number}").end()
            sys.exit()  # all that is in memory is torn down, and must not take anything of the parent's with it
        os.wait()
    print(traces.find().names)
"""


def test_a_child_that_ends_as_programs_do_leaves_the_receiver_alone() -> None:
    printed = subprocess.run(
        [sys.executable, "-c", CHILD_ENDS_AS_PROGRAMS_DO], capture_output=True, text=True, timeout=LONG_S
    )
    assert printed.stdout == "['child 0', 'child 1']\n"


def test_a_span_that_ends_while_another_one_is_sent_by_the_same_thread_is_sent_after_it(traces: Traces) -> None:
    line = forks.Line(receiver.endpoint())
    path = f"/t/{traces.capture.token}/v1/traces"

    def content() -> Iterator[bytes]:
        """What the garbage collector may do within a request."""
        line.post(path, encode_export([span("second", trace="second")]))
        yield encode_export([span("first", trace="first")])

    within: Any = content()
    sending = threading.Thread(target=line.post, args=(path, within), daemon=True)
    sending.start()
    sending.join(LONG_S)
    assert not sending.is_alive()
    assert [one.span.name for one in traces.capture.snapshot().seen] == ["first", "second"]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_keeps_no_connection_of_its_parent_open() -> None:
    address = urlsplit(receiver.endpoint())
    head = "POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"
    with socket.create_connection((address.hostname, address.port), LONG_S) as client:
        client.sendall(f"{head}\r\n".encode())
        assert client.recv(1000)  # the connection goes on
        reading, writing = os.pipe()
        child = forked(partial(os.read, reading, 1))
        client.sendall(f"{head}Connection: close\r\n\r\n".encode())
        while client.recv(1000):
            pass
        os.write(writing, b"!")  # until now the child was there
        assert os.waitpid(child, 0)[1] == 0
    os.close(reading)
    os.close(writing)
