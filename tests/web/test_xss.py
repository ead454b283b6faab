"""Hostile telemetry through every page: the markup must be that of harmless telemetry, element by element."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from minitrace.config import Config
from minitrace.live import Live, Received, shown
from minitrace.model import Event, Kind, Link, LogRecord, Resource, Scope, Span, Status, StatusCode
from minitrace.store.matches import TraceSummary
from minitrace.store.runs import Run
from minitrace.store.store import Store
from minitrace.web import receiver_pages, welcome
from minitrace.web.app import create_app
from minitrace.web.documents import traces_json
from tests.samples import span, span_id, trace_id
from tests.web.pagetext import HTML, Page, ended, part, url

SAMPLES = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</textarea><img src=x onerror=alert(1)>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><animate onbegin=alert(1)>",
    "<math><mtext></mtext><mglyph><style><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' onmouseover='alert(1)",
    '"><b hx-get="/theme" hx-trigger="load">',
    "x hx-get=/theme hx-trigger=load",
    '"><hx-partial hx-target="body">x</hx-partial>',
    '<template hx type="partial" hx-target="body">x</template>',
    '<i hx-on:click="alert(1)">',
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href=javascript:alert(1)>x</a>",
    "javascript:alert(1)",
    "JaVa\tScript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "//evil.example/x",
    "\\\\evil.example\\x",
    "<base href=//evil.example>",
    '<meta http-equiv="refresh" content="0;url=//evil.example">',
    '<form action="//evil.example"><button>x',
    "<style>@import '//evil.example'</style>",
    '"style="position:fixed;inset:0',
    "<!--",
    "--><script>alert(1)</script>",
    "<![CDATA[<b>]]>",
    "<?xml?><b>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;b&#62;",
    "{{ 7 * 7 }}{% raw %}",
    "${7*7}",
    "\u202e<b>gnp\u2066",
    "\x00<b>\x1b[31m",
    "\u2028<b>\u2029",
    "\ufeff<b>",
    "＜script＞alert(1)＜/script＞",
    "data: x\n\ndata: <b>y</b>",
    "a\r\nSet-Cookie: x=1",
]


OURS = (
    "/_static/", "/search", "/live", "/logs", "/_/receiver", "/trace/",
    "/compare", "/why", "/runs", "/red", "/map", "/delete", "/import", "/searches", "/favicon.svg", "/theme", "#",
)  # fmt: skip

OF_SPANS = "from=2023-11-14T22:00Z&to=2023-11-14T23:00Z"  # the time of `tests.samples.T0`


def _harmless(sample: str) -> str:
    """Text of the same length and lines, for the same folding and line breaks; with {, it is TraceQL to the search."""
    return re.sub(r"[^\n.{]", "x", sample)


def _spans(text: str) -> list[Span]:
    root = span(
        text,
        trace="a",
        id="root",
        status=Status(StatusCode.ERROR, text),
        attributes={text: text, "list": [text], "map": {text: text}, "long": text * 200},
        events=[Event(1_700_000_000_000_000_001, text, {text: text}), Event(1_700_000_000_000_000_002, "exception")],
        links=[Link(trace_id("b"), b"12345678", trace_state=text, attributes={text: text})],
        trace_state=text,
        resource=Resource({"service.name": text, text: text}, schema_url=text),
        scope=Scope(text, text, {text: text}, schema_url=text),
    )
    other = replace(root, trace_id=trace_id("c"), attributes={text: "other", "list": [text, text]})
    return [
        root,
        span(text, "root", trace="a", id="child", service=text),
        span(text, "lost", trace="b", service=text, kind=Kind.CLIENT, attributes={"server.address": text}),
        other,
        span(text + text, "root", trace="c", id="new child", service=text, duration_ms=9),
    ]


def _requests(text: str) -> list[tuple[str, dict[str, str]]]:
    """Every page and part that prints telemetry or what was asked."""
    asked = quote(text, safe="")
    child = span_id("root").hex()
    term = quote('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"', safe="")
    return [
        ("/search", HTML),
        ("/search", part("section#results")),
        ("/search?status=error", HTML),
        (
            f"/search?q={asked}&service={asked}&name={asked}&min={asked}&from={asked}&since={asked}&status={asked}",
            HTML,
        ),
        (f"/search?q={asked}&service={asked}&name={asked}", part("section#results")),
        (f"/search?attributes={term}%3D{term}", HTML),
        (f"/search?attributes={term}", part("section#results")),
        ("/logs", HTML),
        ("/logs?level=error", part("section#found")),
        (f"/logs?q={asked}&service={asked}&from={asked}&since={asked}&level={asked}&trace={asked}&span={asked}", HTML),
        (f"/logs?attributes={term}%3D{term}", HTML),
        ("/live", HTML),
        (f"/live?q={asked}", HTML),
        ("/live?q=%7B%20name%20!%3D%20%22%22%20%7D", HTML),
        (url("a"), HTML),
        (url("b"), HTML),
        (f"{url('a')}?span={child}", HTML),
        (f"{url('a')}?span={asked}&page={asked}", HTML),
        (f"{url('a')}?find={asked}&only=1&hide={asked}&without={asked}&min={asked}&t={asked}&x={asked}", HTML),
        (f"{url('a')}?view={asked}&root={asked}&depth={asked}", HTML),
        (f"{url('a')}?view=flame", HTML),
        (f"{url('a')}?view=table&sort={asked}", HTML),
        (f"{url('a')}?view=stats&by={asked}", HTML),
        (f"{url('a')}?view=services", HTML),
        (f"{url('a')}?view=logs", HTML),
        (f"{url('a')}?view=logs&level={asked}", HTML),
        (f"{url('a')}?view=json", HTML),
        (url("a"), part("header#summary")),
        (f"{url('a')}/span/{child}", HTML),
        (f"{url('a')}/span/{child}", part("aside#detail")),
        (f"{url('a')}/span/{asked}", HTML),
        (f"/compare?a={trace_id('a').hex()}", HTML),
        (f"/compare?a={asked}&b={asked}", HTML),
        (f"/compare?qa={asked}", HTML),
        (f"/compare?a={trace_id('a').hex()}&b={trace_id('b').hex()}&row=0", HTML),
        (f"/compare?a={trace_id('a').hex()}&b={trace_id('c').hex()}&row=0&metric={asked}", HTML),
        (f"/compare?a={trace_id('a').hex()}&b={trace_id('c').hex()}&view=attrs&only=changed", HTML),
        ("/compare?qa=%7B%20rootName%20!=%20nil%20%7D&qb=%7B%20%7D", HTML),
        ("/compare?ra=one&rb=two", HTML),
        (f"/compare?ra={asked}&rb=two", HTML),
        ("/runs", HTML),
        (f"/red?kind=all&{OF_SPANS}", HTML),
        (f"/red?kind=all&sort=-p95&{OF_SPANS}", part("div#red")),
        (f"/red?service={asked}&kind=all&compare=1&{OF_SPANS}", HTML),
        (f"/red?service={asked}&operation={asked}&kind=all&{OF_SPANS}", HTML),
        (f"/red?kind={asked}&since={asked}&from={asked}&sort={asked}", HTML),
        (f"/map?{OF_SPANS}", HTML),
        (f"/map?{OF_SPANS}&view=table", HTML),
        (f"/map?{OF_SPANS}&focus={asked}", HTML),
        (f"/why?trace={trace_id('a').hex()}", HTML),
        (f"/why?trace={asked}", HTML),
        (f"/trace/{asked}", HTML),
        (f"/{asked}", HTML),
    ]


def _records(text: str) -> list[LogRecord]:
    said = LogRecord(
        1_700_000_000_000_000_000, 5, 17, text, text, {text: text, "list": [text], "long": text * 200}, 1, 1,
        trace_id("a"), span_id("root"), text, Resource({"service.name": text, text: text}),
        Scope(text, text, {text: text}),
    )  # fmt: skip
    return [said, replace(said, trace_id=b"", span_id=b"", body={text: text}), replace(said, body=None, time_ns=7)]


async def _pages(folder: Path, text: str) -> list[tuple[int, str]]:
    async with await Store.open(folder / "test.db") as store:
        await store.add(_spans(text))
        await store.add_logs(_records(text))
        for name in ("one", "two"):
            await store.begin_run(Run(name, "command", text, text, 1_700_000_000_000_000_000, text, text))
        transport = httpx.ASGITransport(create_app(Config(), store=store))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:4318") as client:
            answers = [await client.get(path, headers=headers) for path, headers in _requests(text)]
            answers += await _import_pages(client, text)
    return [(answer.status_code, answer.text) for answer in answers]


async def _import_pages(client: httpx.AsyncClient, text: str) -> list[httpx.Response]:
    """What an import shows, before and after: a file with hostile telemetry, and one of a hostile name that is none."""
    files = [("a.json", "".join(traces_json(_spans(text + "new")))), (re.sub(r"[\x00-\x1f\\]", "", text), text)]
    posted = [("file", (name or "x", content.encode())) for name, content in files]
    waiting = await client.post("/import", files=posted, follow_redirects=True)
    imported = await ended(client, await client.post(waiting.url, data={"do": "import"}, follow_redirects=True))
    return [waiting, imported, await client.get("/import")]


@pytest.mark.parametrize("sample", SAMPLES)
async def test_hostile_telemetry_makes_no_element_and_no_attribute(tmp_path: Path, sample: str) -> None:
    (tmp_path / "hostile").mkdir()
    (tmp_path / "harmless").mkdir()
    hostile = await _pages(tmp_path / "hostile", sample)
    harmless = await _pages(tmp_path / "harmless", _harmless(sample))
    requests = [*_requests(sample), "waiting", "imported", "import"]
    for (status, html), (expected_status, expected), request in zip(hostile, harmless, requests, strict=True):
        assert status == expected_status, request
        assert [e.shape for e in Page(html).elements] == [e.shape for e in Page(expected).elements], request


@pytest.mark.parametrize("sample", SAMPLES[:3] + SAMPLES[17:22])
async def test_hostile_telemetry_stays_out_of_addresses_and_of_htmx(tmp_path: Path, sample: str) -> None:
    for _, html in await _pages(tmp_path, sample):
        for element in Page(html).elements:
            for name, value in element.attributes.items():
                if name.startswith("hx-"):
                    assert sample not in value, (element.tag, name)
                if name in ("href", "src", "action"):
                    assert value.startswith(OURS) or value == "/"


async def test_telemetry_is_printed_where_htmx_does_not_look(tmp_path: Path) -> None:
    marker = "telemetry-of-a-stranger"
    requests = [*_requests(marker), *[("/import", HTML)] * 3]
    for (_, html), (path, headers) in zip(await _pages(tmp_path, marker), requests, strict=True):
        if marker in path or headers != HTML:
            continue  # what the person typed; a part goes into an element that is checked here
        for text, element in Page(html).texts:
            if marker in text and element and element.tag != "title":
                assert element.is_ignored_by_htmx, (path, element.shape)


def hostile_request(text: str) -> Received:
    sent = shown(text)
    return Received(sent, sent, sent, sent, sent, status=404, problem=sent, cure=sent, time_ns=1)


@pytest.mark.parametrize("sample", SAMPLES)
async def test_hostile_requests_on_the_page_of_the_receiver(sample: str) -> None:
    shapes = []
    for text in (sample, "x"):
        live = Live()
        live.requests.add(hostile_request(text))
        page = Page(await anext(receiver_pages.messages(live, "", False)))
        shapes.append([element.shape for element in page.elements])
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("sample", SAMPLES)
async def test_hostile_telemetry_on_the_first_run_page(sample: str) -> None:
    live = Live()
    live.requests.add(hostile_request(sample))
    summary = TraceSummary(bytes(15) + b"a", 1, 1, sample, sample, 1, 0)
    hostile = welcome.arrivals(summary, live, "")
    shapes = [element.shape for element in Page(hostile).elements]
    calm = Live()
    calm.requests.add(hostile_request("x"))
    expected = welcome.arrivals(TraceSummary(bytes(15) + b"a", 1, 1, "x", "x", 1, 0), calm, "")
    assert shapes == [element.shape for element in Page(expected).elements]
