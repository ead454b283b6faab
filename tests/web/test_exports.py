"""A trace to take along: as OTLP, as text, as Markdown, as one file."""

from __future__ import annotations

import json

import httpx
import pytest

from minitrace.formats import jaeger
from minitrace.model import Event, Kind, Link, Resource, Span, Status, StatusCode
from minitrace.otlp.decode import decode_traces
from minitrace.store.store import Store
from minitrace.web.documents import traces_json
from minitrace.web.pieces import SPANS_A_PIECE
from tests.samples import T0, TRACE, span, trace_id

TRACE_URL = f"/trace/{TRACE.hex()}"


def shop() -> list[Span]:
    """A trace with a bit of everything."""
    return [
        span("GET /checkout", service="frontend", duration_ms=100, attributes={"n": 2**60, "ok": True, "b": b"\0\xff"}),
        *(
            span("SELECT", "GET /checkout", id=f"select {n}", service="db", start_ms=n, kind=Kind.CLIENT)
            for n in range(9)
        ),
        span(
            "POST /charge",
            "GET /checkout",
            service="payment",
            start_ms=30,
            status=Status(StatusCode.ERROR, "card declined"),
            events=[
                Event(T0 + 5, "exception", {"exception.type": "CardError", "exception.message": "no `money` left"})
            ],
            links=[Link(trace_id("other"), b"12345678", attributes={"why": [1, 2.5, None, {"deep": "x"}]})],
        ),
    ]


async def get(client: httpx.AsyncClient, path: str) -> httpx.Response:
    """An answer that must be there."""
    answer = await client.get(f"{TRACE_URL}/{path}")
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.parametrize("query", ["", "?pretty=1"])
async def test_a_downloaded_trace_can_be_sent_again_and_is_the_same(
    client: httpx.AsyncClient, store: Store, query: str
) -> None:
    await store.add(shop())
    before = (await store.trace(TRACE)).spans
    answer = await get(client, f"otlp.json{query}")
    assert answer.headers["content-type"] == "application/json"
    assert decode_traces(answer.content, is_json=True).spans == before
    headers = {"content-type": "application/json"}
    sent = await client.post("/v1/traces", content=answer.content, headers=headers)
    assert (sent.status_code, sent.json()) == (200, {})
    assert (await store.trace(TRACE)).spans == before


async def test_a_program_may_have_protobuf(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(shop())
    answer = await client.get(f"{TRACE_URL}/otlp.json", headers={"accept": "application/x-protobuf"})
    assert answer.headers["content-type"] == "application/x-protobuf"
    assert decode_traces(answer.content, is_json=False).spans == (await store.trace(TRACE)).spans


async def test_a_trace_is_what_jaegers_api_answers(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(shop())
    answer = await get(client, "jaeger.json?download=1")
    assert answer.headers["content-disposition"] == f'attachment; filename="trace-{TRACE.hex()[:8]}.jaeger.json"'
    (trace,) = answer.json()["data"]
    assert trace == jaeger.trace_json((await store.trace(TRACE)).spans)


def test_a_large_trace_is_one_document_in_pieces() -> None:
    spans = [span(f"s{n}") for n in range(SPANS_A_PIECE + 1)]
    pieces = list(traces_json(spans))
    assert len(pieces) == 4
    assert decode_traces("".join(pieces).encode(), is_json=True).spans == spans


async def test_pretty_json_has_lines_and_the_other_one_none(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(shop())
    assert "\n" not in (await get(client, "otlp.json")).text.rstrip("\n")
    pretty = await get(client, "otlp.json?pretty=1")
    assert len(pretty.text.splitlines()) > 100
    assert json.loads(pretty.text) == (await get(client, "otlp.json")).json()


@pytest.mark.parametrize("ending", ["otlp.json", "tree.txt", "summary.md"])
async def test_a_download_names_its_file_after_the_trace(client: httpx.AsyncClient, store: Store, ending: str) -> None:
    await store.add(shop())
    assert "content-disposition" not in (await get(client, ending)).headers
    answer = await get(client, f"{ending}?download=1")
    name = f"trace-{TRACE.hex()[:8]}.{ending.rpartition('.')[2]}"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'


async def test_the_tree_folds_what_repeats_unless_asked_not_to(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(shop())
    folded = await get(client, "tree.txt?width=60")
    assert folded.headers["content-type"] == "text/plain; charset=utf-8"
    assert folded.text.splitlines() == [
        "frontend: GET /checkout       100 ms",
        "├── db: ×9 SELECT            Σ 90 ms",
        "└── ⨯ payment: POST /charge    10 ms",
    ]
    assert len((await get(client, "tree.txt?runs=0")).text.splitlines()) == 11


async def test_the_tree_is_as_wide_as_asked_for(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(shop())
    assert max(map(len, (await get(client, "tree.txt?width=80")).text.splitlines())) == 80
    answer = await client.get(f"{TRACE_URL}/tree.txt?width=100000")
    assert answer.status_code == 400
    assert "width='100000' is not a whole number from 0 to 400" in answer.text


async def test_clocks_are_set_right_unless_asked_not_to(client: httpx.AsyncClient, store: Store) -> None:
    caller = span("call", kind=Kind.CLIENT, start_ms=100, duration_ms=100)
    called = span("answer", "call", kind=Kind.SERVER, service="far", start_ms=0, duration_ms=50)
    await store.add([caller, called])
    adjusted = (await get(client, "tree.txt?width=100")).text.splitlines()
    raw = (await get(client, "tree.txt?width=100&skew=raw")).text.splitlines()
    assert adjusted[0].partition("ms")[2].strip() == "━" * 60
    assert raw[0].partition("ms  ")[2].startswith("   ")


async def test_the_summary_is_markdown(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(shop())
    answer = await get(client, "summary.md")
    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    lines = answer.text.splitlines()
    assert lines[0] == "### `frontend: GET /checkout`"
    assert "- 11 spans: 9 of `db`, 1 of `frontend`, 1 of `payment`" in lines
    assert lines[-1] == "- `payment: POST /charge` `CardError`: ``no `money` left``"


@pytest.mark.parametrize("ending", ["otlp.json", "jaeger.json", "tree.txt", "summary.md"])
async def test_a_trace_that_is_not_there_is_not_found(client: httpx.AsyncClient, ending: str) -> None:
    assert (await client.get(f"{TRACE_URL}/{ending}")).status_code == 404
    assert (await client.get(f"/trace/nonsense/{ending}")).status_code == 404


async def test_resources_of_spans_stay_apart(client: httpx.AsyncClient, store: Store) -> None:
    resources = [Resource({"service.name": "a", "host.name": host}) for host in ("one", "two")]
    await store.add([span(f"s{n}", resource=resource) for n, resource in enumerate(resources)])
    groups = (await get(client, "otlp.json")).json()["resourceSpans"]
    assert [group["resource"]["attributes"][1]["value"]["stringValue"] for group in groups] == ["one", "two"]
