"""Files that are imported: a look first, then stored, then perhaps taken back."""

from __future__ import annotations

import asyncio
import gzip
import html
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import httpx
import pytest

from minitrace.formats.jaeger import pieces
from minitrace.live import Live
from minitrace.model import LogRecord, Span, Status, StatusCode
from minitrace.otlp import json as otlp_json
from minitrace.otlp.encode import logs_data
from minitrace.store.growing_file import new_file
from minitrace.store.logs import LogSearch
from minitrace.store.store import Store
from minitrace.testing.keeping import save
from minitrace.web import contents, uploads
from minitrace.web.contents import read_contents
from minitrace.web.documents import Format, document, traces_json
from minitrace.web.multipart import Part
from minitrace.web.uploads import KEPT_WAITING, State, Upload
from tests.samples import TRACE, record, span, trace_id
from tests.web.pagetext import ended, part

FAILED = Status(StatusCode.ERROR, "declined")
CART = [span("GET /cart", trace="cart", duration_ms=40), span("SELECT", "GET /cart", trace="cart", service="db")]
PAY = [span("POST /pay", trace="pay", start_ms=60_000, status=FAILED)]


def text(spans: Sequence[Span]) -> bytes:
    return "".join(traces_json(spans)).encode()


async def look(client: httpx.AsyncClient, *files: bytes, name: str = "t.json") -> httpx.Response:
    """The page that shows what is in files."""
    posted = [("file", (name, content)) for content in files]
    return await client.post("/import", files=posted, follow_redirects=True)


async def act(client: httpx.AsyncClient, page: httpx.Response, what: str) -> httpx.Response:
    """The page after a button of it was pressed, and what it began has ended."""
    return await ended(client, await client.post(page.url, data={"do": what}, follow_redirects=True))


def plain(page: httpx.Response) -> str:
    """What its main part says, without markup."""
    main = page.text.partition("<main")[2].partition("</main>")[0]
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", main))


async def names(store: Store, trace: str) -> list[str]:
    return sorted(span.name for span in (await store.trace(trace_id(trace))).spans)


async def test_files_that_would_be_too_many_spans_together_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "MAX_SPANS", 2)
    files = [Part(name, text(spans)) for name, spans in (("a.json", PAY), ("b.json", CART), ("c.json", PAY))]
    found = await read_contents(files, now_ns=0, max_bytes=10_000)
    assert [file.span_count for file in found.files] == [1, 0, 1]
    assert [problem[:42] for problem in found.files[1].problems] == ["more than 2 spans and log records at once: "[:42]]
    assert found.span_count == 2


def logs(*records: LogRecord) -> bytes:
    return json.dumps(otlp_json.dump(logs_data(records))).encode() + b"\n"


async def test_log_records_beside_spans_are_imported_and_taken_back(client: httpx.AsyncClient, store: Store) -> None:
    said = [record("paid", trace="pay", at_ms=60_001), record("no trace", at_ms=5)]
    await store.add_logs(said[:1])
    page = await look(client, text(PAY).replace(b"\n", b"") + b"\n" + logs(*said))
    for words in ("Import 1 trace and 2 log records?", "Log records 2 ", "Here already 1 log record ", "2 log records"):
        assert words in plain(page), words
    page = await act(client, page, "import")
    assert "1 span and 1 log record are new; 1 of the 3 was here already." in plain(page)
    assert [one.body for one in (await store.logs(LogSearch())).records] == ["paid", "no trace"]
    page = await act(client, page, "undo")
    assert "1 span and 1 log record are gone." in plain(page)
    assert [one.body for one in (await store.logs(LogSearch())).records] == ["paid"]
    assert (await store.stats()).span_count == 0


async def test_log_records_alone_lead_to_the_page_of_logs(client: httpx.AsyncClient, store: Store) -> None:
    page = await act(client, await look(client, logs(record("once"), record("twice", at_ms=1))), "import")
    assert "2 log records are new." in plain(page)
    address = html.unescape(re.findall(r'class="button" href="([^"]+)"', page.text)[0])
    assert address.startswith("/logs?from=")
    found = (await client.get(address)).text
    assert "once" in found
    assert "twice" in found
    assert "All of it is here already" in plain(await look(client, logs(record("once"))))


async def test_records_of_pinned_traces_stay_when_an_import_is_undone(client: httpx.AsyncClient, store: Store) -> None:
    content = text(PAY).replace(b"\n", b"") + b"\n" + logs(record("paid", trace="pay"), record("no trace"))
    page = await act(client, await look(client, content), "import")
    await store.pin(trace_id("pay"))
    assert "1 log record is gone. 1 pinned trace stayed." in plain(await act(client, page, "undo"))
    assert [one.body for one in (await store.logs(LogSearch())).records] == ["paid"]


async def test_a_record_that_was_said_twice_and_is_here_once_is_half_here(store: Store) -> None:
    twice = [record("tick"), record("tick"), record({"n": [1, b"\0", None]})]
    await store.add_logs([twice[0], twice[2]])
    assert await store.unknown_logs(twice) == [twice[1]]


async def test_log_records_of_a_file_of_ours_are_imported(client: httpx.AsyncClient, tmp_path: Path) -> None:
    with new_file(tmp_path / "ours.db") as file:
        file.add_logs([record("from a file")])
    page = await look(client, (tmp_path / "ours.db").read_bytes(), name="ours.db")
    assert "Import 1 log record?" in plain(page)


async def test_what_is_in_a_file_is_shown_and_nothing_stored(client: httpx.AsyncClient, store: Store) -> None:
    page = await look(client, text([*CART, *PAY]), name="böse <b>.json")
    assert (page.status_code, page.url.path.startswith("/import/")) == (200, True)
    said = plain(page)
    for text_ in ("Import 2 traces?", "Traces 2 ", "Spans 3 ", "Here already none", "böse &lt;b&gt;.json OTLP JSON",
                 "3 spans in 2 traces", "GET /cart", "POST /pay", "⨯ 1", "shop", "db"):  # fmt: skip
        assert text_ in said, text_
    assert (await store.stats()).span_count == 0


async def test_what_is_imported_is_stored_and_shown(client: httpx.AsyncClient, store: Store, live: Live) -> None:
    watch = live.changes()
    change = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    page = await act(client, await look(client, text(CART)), "import")
    assert "Imported" in plain(page)
    assert "2 spans are new" in plain(page)
    assert f'href="/trace/{trace_id("cart").hex()}"' in page.text
    assert await names(store, "cart") == ["GET /cart", "SELECT"]
    assert await change


async def test_an_import_is_undone_without_what_was_there_before(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(CART[:1])
    page = await look(client, text([*CART, *PAY]))
    assert "Here already 1 span " in plain(page)
    page = await act(client, page, "import")
    assert "2 spans are new; 1 of the 3 was here already." in plain(page)
    assert await names(store, "cart") == ["GET /cart", "SELECT"]
    page = await act(client, page, "undo")
    assert "2 spans are gone." in plain(page)
    assert await names(store, "cart") == ["GET /cart"]
    assert await store.known([trace_id("pay")]) == []


async def test_pinned_traces_stay_when_an_import_is_undone(client: httpx.AsyncClient, store: Store) -> None:
    page = await act(client, await look(client, text([*CART, *PAY])), "import")
    await store.pin(trace_id("pay"))
    said = plain(await act(client, page, "undo"))
    assert "2 spans are gone. 1 pinned trace stayed." in said
    assert (await store.stats()).span_count == 1


async def test_what_is_here_already_is_not_offered(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(CART)
    page = await look(client, text(CART))
    assert "All of it is here already" in plain(page)
    assert 'value="import"' not in page.text
    assert f'href="/trace/{trace_id("cart").hex()}"' in page.text


async def test_what_was_exported_is_here_already_in_whatever_bytes_it_came(
    client: httpx.AsyncClient, store: Store
) -> None:
    await store.ingest(text(CART).replace(b',"status":{}', b""), is_json=True)
    for format in ("otlp", "jsonl"):
        exported = await client.get(f"/search/export?format={format}")
        assert "All of it is here already" in plain(await look(client, exported.content)), format


async def test_a_trace_that_is_here_with_other_spans_is_told_before_it_is_doubled(
    client: httpx.AsyncClient, store: Store
) -> None:
    await store.add([replace(one, trace_state="a=b") for one in CART])  # which Jaeger's JSON has no place for
    page = await look(client, text(CART))
    assert "1 trace is here already, with other spans" in plain(page)
    assert 'value="import"' in page.text
    assert "here already, with other spans" not in plain(await look(client, text(PAY)))


async def test_a_file_of_ours_without_a_span_says_where_they_may_be(client: httpx.AsyncClient, tmp_path: Path) -> None:
    save([], tmp_path / "new.db")
    page = await look(client, (tmp_path / "new.db").read_bytes(), name="new.db")
    assert "There is no span or log record in it" in plain(page)
    assert "ends in -wal" in plain(page)


async def test_an_import_does_not_double_what_came_in_other_bytes(client: httpx.AsyncClient, store: Store) -> None:
    await store.ingest(text(CART[:1]).replace(b',"status":{}', b""), is_json=True)
    await act(client, await look(client, text(CART)), "import")
    assert await names(store, "cart") == ["GET /cart", "SELECT"]


@pytest.mark.parametrize("again", ["import", "undo"])
async def test_a_button_that_is_pressed_twice_acts_once(client: httpx.AsyncClient, store: Store, again: str) -> None:
    page = await act(client, await look(client, text(CART)), "import")
    if again == "undo":
        await act(client, page, "undo")
        await store.add(CART)
    answer = await act(client, page, again)
    assert answer.status_code == 200
    assert (await store.stats()).span_count == 2


async def test_an_upload_can_be_cancelled(client: httpx.AsyncClient, store: Store) -> None:
    page = await look(client, text(CART))
    assert (await act(client, page, "cancel")).url.path == "/import"
    gone = await client.get(page.url)
    assert (gone.status_code, "choose its files again" in gone.text) == (404, True)
    assert (await store.stats()).span_count == 0


async def test_files_of_several_kinds_come_together(client: httpx.AsyncClient, store: Store, tmp_path: Path) -> None:
    save(PAY, tmp_path / "pay.db")
    jaeger = "".join(pieces([span("GET /jaeger", trace="jaeger")])).encode()
    files = [gzip.compress(text(CART)), (tmp_path / "pay.db").read_bytes(), jaeger, b"nonsense"]
    page = await look(client, *files)
    said = plain(page)
    assert "Import 3 traces?" in said
    assert "a file of minitrace 1 span in 1 trace" in said
    assert "Jaeger JSON 1 span in 1 trace" in said
    await act(client, page, "import")
    assert [await names(store, trace) for trace in ("cart", "pay", "jaeger")] == [
        ["GET /cart", "SELECT"],
        ["POST /pay"],
        ["GET /jaeger"],
    ]


@pytest.mark.parametrize("content", [b"", b"{}", b"nonsense", b"SQLite format 3\0nonsense", b"\x1f\x8bnonsense"])
async def test_a_file_without_spans_says_why(client: httpx.AsyncClient, content: bytes) -> None:
    page = await look(client, content, name="broken.json")
    assert page.status_code == 200
    assert "There is no span or log record in it" in plain(page)
    (problem,) = re.findall(r'<ul class="problems">\s*<li>(.*?)</li>', page.text)
    assert problem
    assert "/tmp" not in page.text.partition("<main")[2].partition("</main>")[0]
    assert 'value="import"' not in page.text


async def test_no_file_chosen_is_said(client: httpx.AsyncClient) -> None:
    content = b'--b\r\nContent-Disposition: form-data; name="file"; filename=""\r\n\r\n\r\n--b--'
    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = await client.post("/import", content=content, headers=headers)
    assert (answer.status_code, "No file was chosen." in answer.text) == (422, True)


async def test_something_else_than_a_form_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/import", content=text(CART), headers={"content-type": "application/json"})
    assert (answer.status_code, "send multipart/form-data" in answer.text) == (400, True)


@pytest.mark.parametrize("has_length", [True, False])
async def test_files_beyond_the_limit_are_read_away_and_refused(client: httpx.AsyncClient, has_length: bool) -> None:
    request = client.build_request("POST", "/import", files={"file": ("big", b"x" * 2_000_000)})
    if not has_length:
        del request.headers["content-length"]
    answer = await client.send(request)
    assert answer.status_code == 413
    assert "These are more than 977 kB. To look at them: minitrace open FILE." in plain(answer).replace("KB", "kB")


async def test_the_form_tells_what_was_imported_lately(client: httpx.AsyncClient, store: Store) -> None:
    page = await act(client, await look(client, text(CART), name="cart.json"), "import")
    form = await client.get("/import")
    assert f'<a href="{page.url.path}">cart.json</a> 2 spans' in form.text
    await act(client, page, "undo")
    assert "Imported lately" not in (await client.get("/import")).text


async def test_only_the_latest_of_those_that_wait_are_kept(client: httpx.AsyncClient) -> None:
    pages = [await look(client, text(CART)) for _ in range(KEPT_WAITING + 1)]
    assert [(await client.get(page.url)).status_code for page in pages] == [404, *[200] * KEPT_WAITING]


async def test_how_far_an_import_is_can_be_seen_with_and_without_scripts(
    client: httpx.AsyncClient, store: Store
) -> None:
    page = await look(client, text(CART))
    await store._upkeep.lock.acquire()
    page = await act(client, page, "import")
    page = await client.post(page.url, data={"do": "undo"}, follow_redirects=True)
    assert "Undoing…" in page.text
    assert '<noscript><meta http-equiv="refresh"' in page.text
    key = page.url.path.rpartition("/")[2]
    progress = await client.get(f"/import?key={key}", headers=part("section#upload"))
    assert "Undoing…" in progress.text
    assert "<main" not in progress.text
    store._upkeep.lock.release()
    assert "The import was undone" in (await act(client, page, "")).text


async def test_traces_stay_whole_in_the_bundles_they_are_stored_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "SPANS_AT_ONCE", 3)
    spans = [span(f"s{n}", trace=f"t{n % 4}") for n in range(8)]
    read = await read_contents([Part("t", text(spans))], now_ns=0, max_bytes=10**6)
    assert [(len(one.trace_ids), one.span_count, len(await one.spans())) for one in read.bundles] == [(2, 4, 4)] * 2


async def test_an_import_that_fails_in_between_can_be_undone(
    store: Store, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "SPANS_AT_ONCE", 1)
    monkeypatch.setattr(uploads, "BUSY_TRIES", 0)
    upload = Upload(await read_contents([Part("t", text([*CART, *PAY]))], now_ns=0, max_bytes=10**6))
    upload.contents.bundles[1] = contents.Bundle(b"broken", [TRACE], 1)
    await upload.store(store, live)
    assert (upload.state, upload.added) == (State.IMPORTED, 2)
    assert upload.problem.startswith("the body is not a protobuf")
    await upload.undo(store)
    assert (await store.stats()).span_count == 0


async def test_a_mistake_of_ours_stands_on_the_page_and_in_the_log(
    store: Store, live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    upload = Upload(await read_contents([Part("t", text(CART))], now_ns=0, max_bytes=10**6))
    upload.contents.bundles[0] = contents.Bundle(b"", [cast(bytes, object())], 1)
    await upload.begin(State.IMPORTING, upload.store(store, live), 60)
    assert (upload.state, upload.added) == (State.IMPORTED, 0)
    assert upload.problem == "minitrace failed at this; its log says why"
    assert "an import failed" in caplog.text


async def test_an_export_of_each_format_shows_the_same_trace_again(client: httpx.AsyncClient, store: Store) -> None:
    for format in Format:
        page = await act(client, await look(client, "".join(document([CART], format)).encode()), "import")
        assert await names(store, "cart") == ["GET /cart", "SELECT"], format
        await act(client, page, "undo")
