"""A trace and its spans as pages, odd ones too."""

from __future__ import annotations

import httpx
import pytest

from minitrace.model import Span, Status, StatusCode
from minitrace.store.store import Store
from tests.samples import T0, span, span_id, trace_id
from tests.web.pagetext import HTML, Page, get, part, plain, url

FAILED = Status(StatusCode.ERROR, "card declined")


async def test_a_short_id_is_padded(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout", trace=bytes(8) + b"\xab" * 8)])
    assert "checkout" in (await get(client, "/trace/" + "AB" * 8)).text


@pytest.mark.parametrize("path", ["/trace/nonsense", "/trace/" + "a" * 33, "/trace/" + "0" * 32, "/trace/x/span/y"])
async def test_a_bad_trace_id_is_told_what_one_looks_like(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers=HTML)
    assert (answer.status_code, "up to 32 hex digits" in answer.text) == (404, True)


async def test_a_trace_that_is_not_stored_is_a_404(client: httpx.AsyncClient) -> None:
    answer = await client.get("/trace/" + "ab" * 16, headers=HTML)
    assert (answer.status_code, "No span of trace" in answer.text) == (404, True)


def _odd(kind: str) -> list[Span]:
    if kind == "cycle":
        return [span("a", "b", trace=kind), span("b", "a", trace=kind), span("below", "a", trace=kind)]
    if kind == "own parent":
        return [span("a", "a", trace=kind)]
    if kind == "two roots":
        return [span("a", trace=kind), span("b", trace=kind)]
    if kind == "orphans":
        return [span("a", "lost", trace=kind), span("b", "lost", trace=kind)]
    if kind == "root and orphan":
        return [span("a", trace=kind), span("b", "lost", trace=kind)]
    if kind == "one id twice":
        return [span("a", trace=kind, id="x"), span("b", trace=kind, id="x"), span("c", "x", trace=kind)]
    times = {
        "ends before it starts": (T0, T0 - 5),
        "no times": (0, 0),
        "no end": (T0, 0),
        "beyond int64": (2**63, 2**64 - 1),
        "zero length": (T0, T0),
    }[kind]
    return [span("root", trace=kind), span("a", "root", trace=kind, start_ns=times[0], end_ns=times[1])]


# The pin


def pin_of(page: Page) -> tuple[str, str, str]:
    button = page.one("button", name="pinned")
    return plain(button.text), button.attributes["value"], button.attributes["aria-pressed"]


async def test_a_trace_is_pinned_and_unpinned(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout", trace="a")])
    page = await get(client, url("a"))
    form = page.one("form", class_="pinning")
    assert (form.attributes["action"], form.attributes["method"], pin_of(page)) == (
        f"{url('a')}/pin", "post", ("Pin", "1", "false"),
    )  # fmt: skip
    for pinned, button in (("1", ("Unpin", "0", "true")), ("0", ("Pin", "1", "false"))):
        here = f"{url('a')}?span={span_id('checkout').hex()}"
        answer = await client.post(form.attributes["action"], data={"pinned": pinned, "next": here})
        assert (answer.status_code, answer.headers["location"]) == (303, here)
        assert pin_of(await get(client, url("a"))) == button
        assert (await store.trace(trace_id("a"))).is_pinned is (pinned == "1")


async def test_htmx_gets_the_pin_alone(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout", trace="a")])
    answer = await client.post(f"{url('a')}/pin", data={"pinned": "1"}, headers=part("div#pin"))
    page = Page(answer.text)
    assert (answer.status_code, page.elements[0].tag, pin_of(page)) == (200, "button", ("Unpin", "0", "true"))


@pytest.mark.parametrize("back", ["", "//evil.example", "https://evil.example/", "/\\evil.example"])
async def test_after_pinning_the_way_back_stays_here(client: httpx.AsyncClient, store: Store, back: str) -> None:
    await store.add([span("checkout", trace="a")])
    answer = await client.post(f"{url('a')}/pin", data={"pinned": "1", "next": back})
    assert (answer.status_code, answer.headers["location"]) == (303, url("a"))


@pytest.mark.parametrize(
    ("path", "pinned", "status"),
    [(url("a"), "2", 400), (url("a"), "", 400), (url("gone"), "1", 404), ("/trace/nonsense", "1", 404)],
)
async def test_what_cannot_be_pinned_is_said(
    client: httpx.AsyncClient, store: Store, path: str, pinned: str, status: int
) -> None:
    await store.add([span("checkout", trace="a")])
    assert (await client.post(f"{path}/pin", data={"pinned": pinned})).status_code == status
    assert (await client.get(f"{url('a')}/pin")).status_code == 405
    assert not (await store.trace(trace_id("a"))).is_pinned


async def test_a_pin_that_cannot_be_written_is_503(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout", trace="a")])
    await store._writing.run(store._writer.connection.execute, "PRAGMA query_only = ON")
    answer = await client.post(f"{url('a')}/pin", data={"pinned": "1"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    await store._writing.run(store._writer.connection.execute, "PRAGMA query_only = OFF")
    assert (await client.post(f"{url('a')}/pin", data={"pinned": "1"})).status_code == 303


@pytest.mark.parametrize(
    ("kind", "marks"),
    [
        ("root and orphan", ["incomplete"]),
        ("orphans", ["incomplete"]),
        ("cycle", ["incomplete"]),
        ("two roots", []),
        ("no times", []),
    ],
)
async def test_a_trace_that_is_not_whole_is_marked(
    client: httpx.AsyncClient, store: Store, kind: str, marks: list[str]
) -> None:
    await store.add(_odd(kind))
    assert [mark.text for mark in (await get(client, url(kind))).all("span", class_="mark")] == marks
