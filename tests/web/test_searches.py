"""Searches that get a name."""

from __future__ import annotations

from urllib.parse import urlencode

import httpx
import pytest

from minitrace.store.store import Store
from tests.web.pagetext import HTML


async def save(client: httpx.AsyncClient, **fields: str) -> httpx.Response:
    return await client.post("/searches", content=urlencode(fields), headers=HTML)


async def test_a_search_is_saved_in_its_shortest_form(client: httpx.AsyncClient, store: Store) -> None:
    answer = await save(client, name=" slow ones ", search="min=1s&made-up=x&service=shop", next="/search?min=1s")
    assert (answer.status_code, answer.headers["location"]) == (303, "/search?min=1s")
    query = urlencode({"q": '{ resource.service.name = "shop" && duration >= 1s }'})
    assert [(one.name, one.query) for one in await store.saved_searches()] == [("slow ones", query)]


@pytest.mark.parametrize("name", ["", "   ", "x" * 81])
async def test_a_search_needs_a_name_of_some_length(client: httpx.AsyncClient, store: Store, name: str) -> None:
    answer = await save(client, name=name, search="min=1s")
    assert (answer.status_code, "1 to 80 characters" in answer.text) == (422, True)
    assert await store.saved_searches() == []


async def test_a_name_may_be_as_long_as_it_is_said_to_be(client: httpx.AsyncClient, store: Store) -> None:
    await save(client, name="x" * 80, search="min=1s")
    assert [one.name for one in await store.saved_searches()] == ["x" * 80]


async def test_a_search_is_forgotten(client: httpx.AsyncClient, store: Store) -> None:
    await save(client, name="slow", search="min=1s")
    answer = await client.post("/searches/forget", content="name=slow&next=//evil.example", headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/search")
    assert await store.saved_searches() == []
