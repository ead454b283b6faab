"""The file that a trace is saved as, as it is written; `tests/browser/test_saved.py` opens it."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from minitrace.config import Config
from minitrace.model import Event, Link, Resource, Scope, Span, Status, StatusCode, Trace
from minitrace.store.store import Store
from minitrace.web import saved, static
from minitrace.web.app import create_app
from tests.samples import MS, T0, TRACE, record, span, span_id, trace_id
from tests.web.pagetext import Page
from tests.web.test_xss import SAMPLES, _harmless

TRACE_URL = f"/trace/{TRACE.hex()}"


async def save(client: httpx.AsyncClient, trace: bytes = TRACE) -> str:
    """The file of a trace."""
    answer = await client.get(f"/trace/{trace.hex()}/saved.html")
    assert answer.status_code == 200, answer.text
    return answer.text


def spans_of(html: str) -> dict[str, Any]:
    """What the file has of the spans."""
    coded: dict[str, Any] = json.loads(Page(html).one("script", id="spans").text)
    return coded


def many(count: int) -> list[Span]:
    """Spans with ten attributes each, three of them like no other's."""
    resources = [Resource({"service.name": f"service {n}", "host.name": f"host-{n}"}) for n in range(8)]
    return [
        span(
            f"operation {n % 26}",
            str((n - 1) // 3) if n else "",
            id=str(n),
            start_ms=n,
            resource=resources[n % 8],
            attributes={
                "http.request.method": "GET",
                "http.route": f"/api/things/{n % 30}",
                "url.full": f"https://api.example.test/api/things/{n}?session={sha256(bytes([n % 256])).hexdigest()}",
                "http.response.status_code": 200,
                "server.address": f"host-{n % 8}.internal",
                "server.port": 8080,
                "user.id": f"user-{n}",
                "db.query.text": f"SELECT id, name, price FROM products WHERE category = {n % 40}",
                "thread.id": n % 40,
                "request.id": sha256(str(n).encode()).hexdigest()[:32],
            },
        )
        for n in range(count)
    ]


async def test_it_is_a_download_named_after_the_trace(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("a")])
    answer = await client.get(f"{TRACE_URL}/saved.html")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="trace-{TRACE.hex()[:8]}.html"'


async def test_a_trace_that_no_store_has_makes_the_same_file(client: httpx.AsyncClient, store: Store) -> None:
    spans = [
        *many(30),
        span("failed", "29", start_ms=40, status=Status(StatusCode.ERROR, "no")),
        span("orphan", "gone"),
    ]
    await store.add(spans)
    served = (await store.trace(TRACE)).spans
    alone = "".join(saved.standing_alone(Trace(TRACE, served), now_ns=T0))
    (saved_at,) = re.findall("saved from minitrace on (.*) UTC", alone)
    assert alone == re.sub("(saved from minitrace on ).*( UTC)", rf"\g<1>{saved_at}\2", await save(client))


async def test_a_thousand_spans_with_ten_attributes_are_below_a_megabyte(
    client: httpx.AsyncClient, store: Store
) -> None:
    await store.add(many(1000))
    size = len((await save(client)).encode())
    assert 400_000 < size < 1_000_000


async def test_nothing_but_the_files_own_script_and_style_can_work(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("a")])
    html = await save(client)
    page = Page(html)
    policy = page.one("meta", http_equiv="Content-Security-Policy").attributes["content"]
    (script,) = re.findall(r'<script type="module">(.*?)</script>', html, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    hashes = [b64encode(sha256(text.encode()).digest()).decode() for text in (script, style)]
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert [element.attributes.get("type") for element in page.all("script")] == [
        "application/json",
        "application/json",
        "module",
    ]


async def test_nothing_in_it_leads_elsewhere(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("a", attributes={"url.full": "https://example.test/"})])
    page = Page(await save(client))
    assert not page.all("link")
    assert not page.all("img")
    assert not page.all("iframe")
    for element in page.elements:
        assert "src" not in element.attributes
        assert element.attributes.get("href", "#").startswith("#")
        assert element.attributes.get("action", "") == ""


def test_the_modules_are_one_script_without_imports() -> None:
    script = saved.script()
    assert not re.search(r"(?:^|[;}])\s*(?:import|export)\b", script, re.MULTILINE)
    assert "import(" not in script
    assert "</script" not in script
    assert "<!--" not in script
    assert 'const { Waterfall,parts } = modules["waterfall.js"];' in script


def test_each_module_has_what_others_ask_of_it() -> None:
    for name in saved.MODULES:
        for asked, module in saved._IMPORT.findall(static.FILES[name].decode()):
            text = static.FILES[module].decode()
            for export in asked.split(","):
                assert re.search(rf"\bexport (?:\w+ |[^;]*,){export}\b", text), (name, export)
            assert saved.MODULES.index(module) < saved.MODULES.index(name)


async def test_it_shows_the_headline_and_the_tree_before_its_script_runs(
    client: httpx.AsyncClient, store: Store
) -> None:
    failed = Status(StatusCode.ERROR, "declined")
    await store.add([span("GET /", duration_ms=100), span("charge", "GET /", service="bank", status=failed)])
    page = Page(await save(client))
    assert page.one("title").text == "GET / · minitrace"
    assert page.one("h1").text.split() == ["shop", "GET", "/"]
    assert "1 error" in page.one("p", class_="verdict").text
    assert page.one("pre", id="still").text.splitlines()[1].startswith("└── ⨯ bank: charge  ")
    assert "hidden" in page.one("div", id="live").attributes
    assert "saved from minitrace on 2" in page.one("footer").text


async def test_it_has_all_that_spans_carry(client: httpx.AsyncClient, store: Store) -> None:
    whole = span(
        "a",
        attributes={"text": "x", "n": 2**60, "json": '{"a": [1]}', "bytes": b"\1", "same": "x"},
        status=Status(StatusCode.ERROR, "declined"),
        events=[Event(T0 + 3 * MS, "exception", {"exception.type": "E"}, dropped_attributes=2)],
        dropped_events=1,
        links=[Link(TRACE, span_id("b"), "k=v", {"why": "retry"}), Link(trace_id("other"), b"12345678")],
        trace_state="s=t",
        dropped_attributes=3,
        scope=Scope("lib", "1.2", {"s": True}),
    )
    await store.add([whole, span("b", "a", start_ms=2, duration_ms=5)])
    coded = spans_of(await save(client))
    assert coded["keys"] == ["text", "n", "json", "bytes", "same", "exception.type", "why", "service.name", "s"]
    assert coded["pairs"] == [
        [0, "x"],
        [1, "1152921504606846976", "int"],
        [2, '{\n  "a": [\n    1\n  ]\n}'],
        [3, "AQ==", "bytes"],
        [4, "x"],
        [5, "E"],
        [6, "retry"],
        [7, "shop"],
        [8, "true", "bool"],
    ]
    assert coded["shared"] == [
        ["Resource", [{"pairs": [7]}]],
        ["Scope", [{"title": "lib 1.2", "pairs": [8]}]],
        ["Scope", [{"title": "tests 1.0"}]],
    ]
    first, second = coded["spans"]
    assert second == {
        "id": span_id("b").hex(),
        "parent": span_id("a").hex(),
        "name": "b",
        "service": "shop",
        "kind": "unspecified",
        "groups": [["Attributes", [{}]], 0, 2],
        "start": 2 * MS,
        "length": 5 * MS,
    }
    assert (first["error"], first["message"]) == (1, "declined")
    assert first["groups"] == [
        ["Attributes", [{"pairs": [0, 1, 2, 3, 4], "note": "trace state s=t. 3 attributes dropped by the sender"}]],
        [
            "Events",
            [
                {
                    "title": "exception",
                    "remark": "+3\u2009ms",
                    "pairs": [5],
                    "note": "2 attributes dropped by the sender",
                },
                {"note": "1 event dropped by the sender"},
            ],
        ],
        [
            "Links",
            [
                {
                    "title": f"{TRACE.hex()} {span_id('b').hex()}",
                    "to": span_id("b").hex(),
                    "pairs": [6],
                    "note": "trace state k=v",
                },
                {"title": f"{trace_id('other').hex()} {b'12345678'.hex()}"},
            ],
        ],
        0,
        1,
    ]


async def test_spans_have_their_log_records_and_the_root_those_of_no_span(
    client: httpx.AsyncClient, store: Store
) -> None:
    await store.add([span("a"), span("b", "a", start_ms=2)])
    await store.add_logs([
        record("declined\nfor good", at_ms=3, trace=TRACE, span="b", severity=17, attributes={"order": 7}),
        record({"n": 1}, at_ms=1, trace=TRACE),
        record("elsewhere", trace="other"),
    ])  # fmt: skip
    coded = spans_of(await save(client))
    a, b = (one["groups"] for one in coded["spans"])
    assert a[1] == ["Logs of no span here", [{"title": '{"n": 1}', "remark": "+1\u2009ms"}]]
    (title, (line,)) = b[1]
    assert (title, line["title"], line["remark"]) == ("Logs", "declined", "+1\u2009ms ⨯ error")
    assert [[coded["keys"][key], *rest] for key, *rest in map(coded["pairs"].__getitem__, line["pairs"])] == [
        ["body", "declined\nfor good"],
        ["order", "7", "int"],
    ]


async def test_of_many_log_records_those_of_trouble_are_kept_and_the_rest_is_said(
    client: httpx.AsyncClient, store: Store
) -> None:
    await store.add([span("a")])
    said = [
        record(f"step {n} of the saga " + "x" * 80, at_ms=n, trace=TRACE, span="a", severity=9) for n in range(5000)
    ]
    await store.add_logs([*said, record("y" * 9000, at_ms=6000, trace=TRACE, span="a", severity=17)])
    html = await save(client)
    (groups,) = (one["groups"] for one in spans_of(html)["spans"])
    assert len(groups[1][1]) == saved.MOST_RECORDS
    assert groups[1][1][-1]["title"] == "y" * 500
    assert groups[2] == [
        "Logs that are not in this file",
        [{"note": "4\u2009001 log records of the trace: open it in minitrace"}],
    ]
    assert len(html.encode()) < 400_000


async def test_a_span_without_times_says_so(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("a", start_ns=0, end_ns=0)])
    assert spans_of(await save(client))["spans"][0]["start"] is None


def hostile(text: str) -> list[Span]:
    """Spans with a text in every field."""
    root = span(
        text,
        id="root",
        status=Status(StatusCode.ERROR, text),
        attributes={text: text, "list": [text], "map": {text: text}, "long": text * 200},
        events=[Event(T0 + 1, text, {text: text}), Event(T0 + 2, "exception", {"exception.message": text})],
        links=[Link(TRACE, span_id("child"), text, {text: text})],
        trace_state=text,
        resource=Resource({"service.name": text, text: text}, schema_url=text),
        scope=Scope(text, text, {text: text}, schema_url=text),
    )
    return [root, span(text, "root", id="child", service=text), span(text, "lost", service=text)]


async def _file(folder: Path, text: str) -> Page:
    folder.mkdir()
    async with await Store.open(folder / "test.db") as store:
        await store.add(hostile(text))
        transport = httpx.ASGITransport(create_app(Config(), store=store))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:4318") as client:
            return Page(await save(client))


@pytest.mark.parametrize("sample", SAMPLES)
async def test_hostile_telemetry_makes_no_element_and_no_attribute(tmp_path: Path, sample: str) -> None:
    page, expected = await _file(tmp_path / "hostile", sample), await _file(tmp_path / "calm", _harmless(sample))
    assert [element.shape for element in page.elements] == [element.shape for element in expected.elements]
    for element in page.elements:
        if element.tag == "script" and element.attributes["type"] == "application/json":
            assert "<" not in element.text
            assert "\u2028" not in element.text
            assert "\u2029" not in element.text
            json.loads(element.text)
