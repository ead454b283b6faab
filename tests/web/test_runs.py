"""Runs over HTTP, as `minitrace run` tells of them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from minitrace.store.store import Store

RUN = {"id": "1f", "kind": "command", "label": "npm test", "directory": "/home/me/shop", "started_ns": 5}
TOLD = {"git_commit": "3f2a1b9" + "0" * 33, "git_branch": "main", "is_dirty": True}


async def test_a_run_that_was_told_of_is_listed_with_its_end(client: httpx.AsyncClient) -> None:
    begun = await client.post("/_/runs", json={**RUN, **TOLD})
    assert (begun.status_code, begun.json()) == (201, {"id": "1f"})
    ended = await client.post("/_/runs/1f/end", json={"exit_code": 3})
    assert ended.status_code == 200
    (listed,) = (await client.get("/_/runs.json")).json()["runs"]
    assert listed.pop("ended_ns") > 5
    assert listed == {**RUN, **TOLD, "exit_code": 3}


async def test_ids_and_starts_are_made_up(client: httpx.AsyncClient, store: Store) -> None:
    for _ in range(2):
        await client.post("/_/runs", json={"kind": "pytest", "label": "tests"})
    first, second = await store.runs()
    assert first.id != second.id
    assert first.started_ns >= second.started_ns > 10**18


async def test_no_more_runs_are_listed_than_asked_for(client: httpx.AsyncClient) -> None:
    for number in range(3):
        await client.post("/_/runs", json={**RUN, "id": str(number), "started_ns": 5 + number})
    runs = (await client.get("/_/runs.json?limit=2")).json()["runs"]
    assert [run["id"] for run in runs] == ["2", "1"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"id": "a b"}, "id 'a b' of the run makes no sense"),
        ({"kind": "server"}, "kind 'server' of the run makes no sense"),
        ({"label": ""}, "label '' of the run makes no sense"),
        ({"label": ["npm"]}, "label of the run is not a text"),
        ({"started_ns": 2**63}, "started_ns '9223372036854775808' of the run makes no sense"),
        ({"git_commit": "main"}, "git_commit 'main' of the run makes no sense"),
    ],
)
async def test_a_run_that_makes_no_sense_is_refused(
    client: httpx.AsyncClient, store: Store, wrong: dict[str, Any], said: str
) -> None:
    answer = await client.post("/_/runs", json={**RUN, **wrong})
    assert answer.status_code == 400
    assert said in answer.text.replace("&#39;", "'")
    assert await store.runs() == []


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff", b"[" * 60_000])
async def test_a_body_that_is_no_object_is_refused(client: httpx.AsyncClient, content: bytes) -> None:
    assert (await client.post("/_/runs", content=content)).status_code == 400


async def test_half_a_character_is_no_mistake_of_ours(client: httpx.AsyncClient, store: Store) -> None:
    answer = await client.post("/_/runs", content=b'{"kind": "command", "label": "\\ud800"}')
    assert answer.status_code == 201
    assert [run.label for run in await store.runs()] == ["?"]


async def test_a_run_that_nobody_began_cannot_end(client: httpx.AsyncClient) -> None:
    assert (await client.post("/_/runs/1f/end", json={})).status_code == 404


async def test_an_exit_code_is_a_number(client: httpx.AsyncClient) -> None:
    await client.post("/_/runs", json=RUN)
    assert (await client.post("/_/runs/1f/end", json={"exit_code": "3"})).status_code == 400
