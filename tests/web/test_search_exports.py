"""What a search finds, as a file."""

from __future__ import annotations

import html
import json
import re
from urllib.parse import quote

import httpx
import pytest

from minitrace.formats import jaeger
from minitrace.model import Span
from minitrace.otlp.decode import decode_traces
from minitrace.store.store import Store
from minitrace.web import search_exports, search_pages
from tests.samples import span, trace_id

SPANS = [
    item
    for n in range(5)
    for item in (
        span("GET /cart", trace=f"t{n}", start_ms=1000 * n, attributes={"n": n}),
        span("charge", "GET /cart", trace=f"t{n}", service="bank", start_ms=1000 * n),
    )
]


async def export(client: httpx.AsyncClient, format: str, query: str = "") -> httpx.Response:
    answer = await client.get("/search/export", params={"format": format, "q": query})
    assert answer.status_code == 200, answer.text
    return answer


def ordered(spans: list[Span]) -> list[Span]:
    return sorted(spans, key=lambda span: (span.start_ns, span.name))


async def test_all_that_was_found_is_one_otlp_document(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(SPANS)
    answer = await export(client, "otlp", "{ span.n > 1 }")
    assert answer.headers["content-disposition"] == 'attachment; filename="traces.json"'
    assert ordered(decode_traces(answer.content, is_json=True).spans) == ordered(SPANS[4:])


async def test_each_trace_is_a_line_of_otlp(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(SPANS)
    answer = await export(client, "jsonl")
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [decode_traces(line.encode(), is_json=True).spans for line in answer.text.splitlines()]
    assert [{span.trace_id for span in spans} for spans in lines] == [{trace_id(f"t{n}")} for n in (4, 3, 2, 1, 0)]
    assert ordered([span for spans in lines for span in spans]) == ordered(SPANS)


async def test_what_jaeger_takes_are_traces_in_its_envelope(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(SPANS)
    document = (await export(client, "jaeger")).json()
    assert sorted(document) == ["data", "errors", "limit", "offset", "total"]
    assert [trace["traceID"] for trace in document["data"]] == [trace_id(f"t{n}").hex() for n in (4, 3, 2, 1, 0)]
    assert {span.name for span in jaeger.read_spans(document)} == {"GET /cart", "charge"}


@pytest.mark.parametrize("format", ["otlp", "jsonl", "jaeger"])
async def test_nothing_found_is_an_empty_document(client: httpx.AsyncClient, format: str) -> None:
    text = (await export(client, format)).text
    assert [json.loads(line).get("data", []) for line in text.splitlines()] == ([] if format == "jsonl" else [[]])


async def test_the_order_and_the_fields_of_the_page_count(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(SPANS)
    answer = await client.get("/search/export?format=jsonl&sort=start&attributes=n%3E2&limit=1")
    traces = [decode_traces(line.encode(), is_json=True).spans[0].trace_id for line in answer.text.splitlines()]
    assert traces == [trace_id("t3"), trace_id("t4")]


@pytest.mark.parametrize("sort", ["", "duration"])
async def test_it_goes_on_from_page_to_page_up_to_its_limit(
    client: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch, sort: str
) -> None:
    monkeypatch.setattr(search_exports, "TRACES_AT_ONCE", 2)
    await store.add(SPANS)
    counts = []
    for most in (3, 4, 5, 6):
        monkeypatch.setattr(search_exports, "MOST_TRACES", most)
        answer = await client.get("/search/export", params={"format": "jsonl", "sort": sort})
        counts.append(len(answer.text.splitlines()))
    assert counts == [3, 4, 5, 5]


async def test_a_search_that_takes_too_long_is_no_file(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span(f"s{n}", "p", trace=f"t{n % 40}", id=f"s{n}") for n in range(4000)])
    store._readers._timeout_s = 0.002
    answer = await client.get("/search/export?q=" + quote("{ } >> { name =~ `s.*7` }"))
    assert (answer.status_code, "search a shorter time" in answer.text) == (503, True)
    assert "content-disposition" not in answer.headers


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("format=csv", 400, "format='csv' is none: use otlp, jsonl, jaeger"),
        ("q=%7B+name+%3D", 422, "expected a value"),
        ("from=nonsense", 422, "2026-"),
    ],
)
async def test_what_cannot_be_read_is_said(client: httpx.AsyncClient, query: str, status: int, said: str) -> None:
    answer = await client.get(f"/search/export?{query}")
    assert (answer.status_code, said in answer.text.replace("&#39;", "'")) == (status, True), answer.text


async def test_the_page_leads_to_the_export_of_what_it_shows(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(SPANS)
    page = await client.get("/search", params={"q": "{ span.n > 1 }", "sort": "start"})
    (link,) = re.findall(r'href="(/search/export[?]format=jsonl[^"]*)"', page.text)
    lines = (await client.get(html.unescape(link))).text.splitlines()
    first = decode_traces(lines[0].encode(), is_json=True).spans[0]
    assert (len(lines), first.trace_id) == (3, trace_id("t2"))
    assert "All that match." in page.text


async def test_the_page_says_when_not_all_are_exported(
    client: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_pages, "MOST_TRACES", 4)
    await store.add(SPANS)
    assert "The first 4 traces; <code>minitrace export</code> takes more." in (await client.get("/search")).text
    assert "search/export" not in (await client.get("/search?q=nothing")).text
