"""Children of multiprocessing, however they begin, take part in the capture that was active when they were started."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.context import BaseContext

import pytest

from minitrace.testing import Traces, capture
from tests.testing.processes.apps.work import export, work, work_below


@pytest.fixture
def traces() -> Iterator[Traces]:
    with capture() as opened:
        yield opened


@pytest.fixture(params=multiprocessing.get_all_start_methods())
def context(request: pytest.FixtureRequest) -> BaseContext:
    return get_context(str(request.param))


def numbers(traces: Traces) -> list[int]:
    return sorted(int(str(one["number"])) for one in traces.find())


def test_all_spans_of_a_pool_arrive(traces: Traces, context: BaseContext) -> None:
    with context.Pool(3) as pool:
        pids = pool.map(work, range(20), chunksize=1)
    assert numbers(traces) == list(range(20))
    assert {(one.pid, one.origin) for one in traces.find()} == {(pid, "fork") for pid in pids}


def test_all_spans_of_an_executor_arrive(traces: Traces, context: BaseContext) -> None:
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        pids = set(pool.map(work, range(20)))
    assert numbers(traces) == list(range(20))
    assert {one.pid for one in traces.find()} == pids


def test_children_of_children_take_part(traces: Traces, context: BaseContext) -> None:
    child = context.Process(target=work_below, args=(context.get_start_method(), 7))  # type: ignore[attr-defined]
    child.start()
    child.join()
    assert numbers(traces) == [7]


def test_a_child_that_exports_by_itself_sends_no_span_twice(traces: Traces, context: BaseContext) -> None:
    child = context.Process(target=export, args=(7,))  # type: ignore[attr-defined]
    child.start()
    child.join()
    assert numbers(traces) == [7]
    assert traces.capture.circumstances().requests[-1].spans == 1
    assert len(traces.capture.circumstances().requests) == 2


def test_each_test_gets_the_spans_of_its_own_children(context: BaseContext) -> None:
    for number in range(2):  # forkserver has the environment of the first
        with capture() as traces:
            child = context.Process(target=export, args=(number,))  # type: ignore[attr-defined]
            child.start()
            child.join()
            assert numbers(traces) == [number]
            assert len(traces.capture.circumstances().requests) == 2  # its exporter's, and ours


def test_a_child_of_no_test_is_left_alone(context: BaseContext) -> None:
    with capture() as over:
        pass
    child = context.Process(target=work, args=(1,))  # type: ignore[attr-defined]
    child.start()
    child.join()
    assert (child.exitcode, over.count()) == (0, 0)
    assert os.getpid() != child.pid
