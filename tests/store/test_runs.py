"""Runs in the file, and their traces."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from minitrace.model import Resource
from minitrace.store import runs
from minitrace.store.runs import RUN_ID, Run
from minitrace.store.store import Store
from tests.samples import T0, span, trace_id


def run(id: str = "1f", kind: str = "command", started_ns: int = T0, **more: Any) -> Run:
    return Run(id, kind, "pytest -q", "/home/me/shop", started_ns, **more)


async def test_a_run_is_read_back_as_it_was_begun(store: Store) -> None:
    begun = run(git_commit="3f2a1b9" + "0" * 33, git_branch="main", is_dirty=True)
    await store.begin_run(begun)
    assert await store.run("1f") == begun


async def test_a_run_that_nobody_began_is_none(store: Store) -> None:
    assert await store.run("1f") is None


async def test_runs_are_newest_first_and_as_many_as_asked_for(store: Store) -> None:
    for id, started_ns in (("old", T0), ("new", T0 + 2), ("middle", T0 + 1)):
        await store.begin_run(run(id, started_ns=started_ns))
    assert [found.id for found in await store.runs(2)] == ["new", "middle"]


async def test_the_end_of_a_run_is_noted_with_its_exit_code(store: Store) -> None:
    await store.begin_run(run())
    assert await store.end_run("1f", 3, T0 + 5)
    assert await store.run("1f") == replace(run(), ended_ns=T0 + 5, exit_code=3)


async def test_the_end_of_a_run_that_nobody_began_is_told(store: Store) -> None:
    assert not await store.end_run("1f", 0, T0)


async def test_a_server_that_was_killed_ended_when_its_last_span_came(store: Store) -> None:
    await store.begin_run(run("killed", "server"))
    await store.begin_run(run("command", "command"))
    await store.add([span("checkout")])
    await store.begin_run(run("next", "server", started_ns=T0 + 1))
    ended = {found.id: found.ended_ns for found in await store.runs()}
    assert (ended["killed"] or 0) > T0 + 1  # received now, long after T0
    assert (ended["command"], ended["next"]) == (None, None)


async def test_the_oldest_runs_leave_when_there_are_too_many(store: Store, monkeypatch: Any) -> None:
    monkeypatch.setattr(runs, "MOST_RUNS", 2)
    for number in range(4):
        await store.begin_run(run(str(number), started_ns=T0 + number))
    assert [found.id for found in await store.runs()] == ["3", "2"]


async def test_the_traces_of_a_command_are_those_whose_resource_names_it(store: Store) -> None:
    await store.add([span("own", trace="own", resource=Resource({RUN_ID: "1f"})), span("other", trace="other")])
    found = await store.search(run().search(limit=5))
    assert [match.summary.trace_id for match in found.matches] == [trace_id("own")]


async def test_the_traces_of_a_server_are_those_that_arrived_meanwhile(store: Store) -> None:
    await store.add([span("before", trace="before")])
    started_ns = time.time_ns()
    await store.add([span("own", trace="own")])
    ended_ns = time.time_ns()
    await store.add([span("after", trace="after")])
    for one, names in (
        (run(kind="server", started_ns=started_ns, ended_ns=ended_ns), ["own"]),
        (run(kind="server", started_ns=started_ns), ["after", "own"]),
    ):
        found = {match.summary.trace_id for match in (await store.search(one.search())).matches}
        assert found == {trace_id(name) for name in names}
