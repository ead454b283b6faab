"""Pages of a file with thousands of services, or of names of operations: what a badly instrumented client leaves."""

from __future__ import annotations

import re

import httpx
import pytest

from minitrace.model import Kind
from minitrace.store.store import Store
from tests.samples import span
from tests.web.pagetext import get

NUMBER = 3_000
MOST = 600  # names on a page: those that a person may choose from, and what was found
TIMES = "from=2023-11-14T22:13:00Z&to=2023-11-14T22:14:00Z"


def names_in(text: str) -> set[str]:
    """The names of the samples that stand in a page."""
    return set(re.findall(r"many-[0-9]+", text))


@pytest.mark.parametrize(
    "path", ["/search", f"/search?{TIMES}", "/logs", f"/red?{TIMES}", f"/map?{TIMES}", f"/map?{TIMES}&view=table"]
)
async def test_thousands_of_services_leave_a_page_short(client: httpx.AsyncClient, store: Store, path: str) -> None:
    names = [f"many-{n}" for n in range(NUMBER)]
    await store.add([span(name, trace=name, service=name, kind=Kind.SERVER) for name in names])
    assert len(names_in((await get(client, path)).text)) <= MOST


@pytest.mark.parametrize("path", ["/search?q=service%3Dshop", f"/red?{TIMES}&service=shop", f"/map?{TIMES}"])
async def test_thousands_of_operations_leave_a_page_short(client: httpx.AsyncClient, store: Store, path: str) -> None:
    await store.add([span(f"many-{n}", trace=f"{n}", kind=Kind.SERVER) for n in range(NUMBER)])
    assert len(names_in((await get(client, path)).text)) <= MOST


@pytest.mark.parametrize("path", ["/search", "/logs"])
async def test_services_beyond_those_to_choose_from_are_said(
    client: httpx.AsyncClient, store: Store, path: str
) -> None:
    await store.add([span("a", trace=f"{n}", service=f"many-{n}") for n in range(502)])
    (option,) = [one for one in (await get(client, path)).all("option") if "disabled" in one.attributes]
    assert option.text == "2 more: write service.name=… among the attributes"


@pytest.mark.parametrize("path", ["/search", "/logs"])
async def test_a_service_beyond_those_to_choose_from_stays_chosen(
    client: httpx.AsyncClient, store: Store, path: str
) -> None:
    await store.add([span("a", trace=f"{n}", service=f"many-{n}") for n in range(502)])
    query = "q=%7B+resource.service.name+%3D+%22many-501%22+%7D" if path == "/search" else "service=many-501"
    chosen = [
        one.attributes["value"]
        for one in (await get(client, f"{path}?{query}")).all("option")
        if "selected" in one.attributes and one.attributes["value"].startswith("many")
    ]
    assert chosen == ["many-501"]
