"""The page of logs, and the same for programs."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.model import Severity, Value
from minitrace.otlp.log_records import decode_logs
from minitrace.store.store import Store
from minitrace.web.log_form import LEVELS, read_log_form
from minitrace.web.log_lines import lines
from tests.samples import MS, T0, TRACE, record, span, span_id, trace_id
from tests.web.pagetext import Page, get

SECOND = 1_000_000_000


async def listed(client: httpx.AsyncClient, address: str) -> list[str]:
    """The first lines of the records on a page."""
    texts = [element.text.strip() for element in (await get(client, address)).all("summary")]
    return [text for text in texts if text != "Exact times"]


async def test_an_empty_page_says_how_to_send_logs(client: httpx.AsyncClient) -> None:
    text = (await get(client, "/logs")).text
    assert "No log record has come yet." in text
    assert "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 " in text
    assert "POST them to http://localhost:4318/v1/logs" in text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["paid", "card declined", "retry in 5 s"]),
        ("q=card", ["card declined"]),
        ("q=nothing", []),
        ("level=warn", ["card declined", "retry in 5 s"]),
        ("level=error", ["card declined"]),
        ("service=pay", ["paid"]),
        ("attributes=order%3D7", ["card declined"]),
        ("attributes=order%3D7+k%3D%22a+b%22", []),
        (f"trace={TRACE.hex()}", ["paid", "card declined"]),
        (f"trace={TRACE.hex()}&span={span_id('b').hex()}", ["card declined"]),
        ("from=2023-11-14T22:13:21Z", ["paid"]),
        ("to=2023-11-14T22:13:21Z", ["card declined", "retry in 5 s"]),
        ("since=1h", []),
        ("limit=1", ["paid"]),
    ],
)
async def test_the_page_lists_what_fits_newest_first(
    client: httpx.AsyncClient, store: Store, query: str, found: list[str]
) -> None:
    await store.add_logs(
        [
            record("retry in 5 s", at_ms=10, severity=13),
            record("card declined", at_ms=20, severity=17, trace=TRACE, span="b", attributes={"order": 7}),
            record("paid", at_ms=1500, service="pay", severity=9, trace=TRACE),
        ]
    )
    assert await listed(client, f"/logs?{query}") == found


async def test_a_line_tells_how_bad_it_is_in_words_and_leads_to_its_span(
    client: httpx.AsyncClient, store: Store
) -> None:
    await store.add([span("b")])
    await store.add_logs([record("card declined", severity=18, trace=TRACE, span="b"), record("no link", at_ms=-1)])
    page = await get(client, "/logs")
    assert [one.text.strip() for one in page.all("span", class_="level")] == ["⨯ error", ""]
    assert [link.attributes["href"] for link in page.all("a") if link.attributes["href"].startswith("/trace/")] == [
        f"/trace/{TRACE.hex()}?span={span_id('b').hex()}"
    ]


async def test_a_record_of_a_trace_that_is_not_stored_leads_to_the_others_of_that(
    client: httpx.AsyncClient, store: Store
) -> None:
    await store.add_logs([record("a", trace="sampled out", span="b"), record("b", at_ms=1, trace="sampled out")])
    page = await get(client, "/logs")
    links = {link.attributes["href"] for link in page.all("a") if link.text == "trace"}
    assert links == {f"/logs?trace={trace_id('sampled out').hex()}"}
    assert await listed(client, links.pop()) == ["b", "a"]


async def test_older_records_are_a_page_further(client: httpx.AsyncClient, store: Store) -> None:
    await store.add_logs([record(f"r{n}", at_ms=n) for n in range(5)])
    found = []
    address = "/logs?limit=2&q=r"
    while address:
        page = await get(client, address)
        found += await listed(client, address)
        address = next((link.attributes["href"] for link in page.all("a") if link.text == "Older records"), "")
    assert found == ["r4", "r3", "r2", "r1", "r0"]


async def test_htmx_gets_the_list_alone(client: httpx.AsyncClient, store: Store) -> None:
    await store.add_logs([record("here")])
    headers = {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "section#found"}
    text = (await client.get("/logs?q=here", headers=headers)).text
    assert "here" in text
    assert "<html" not in text


@pytest.mark.parametrize("id", [TRACE.hex(), f"00-{TRACE.hex()}-{span_id('a').hex()}-01"])
async def test_a_pasted_id_becomes_the_trace_s_records(client: httpx.AsyncClient, id: str) -> None:
    answer = await client.get("/logs", params={"q": id})
    assert answer.status_code == 303
    query = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    assert query == ({"trace": TRACE.hex()} | ({"span": span_id("a").hex()} if "-" in id else {}))


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("level=bad", "Write one of trace, debug, info, warn, error, fatal."),
        ("trace=xyz", "This is not a trace id. One has 32 hex digits."),
        ("attributes=n%3E3", "Attributes of logs are looked up by their value: write key=value."),
        ("attributes=n", "At character"),
        ("from=noon", "Write a date and a time, such as 2026-11-22T13:00."),
    ],
)
async def test_a_field_that_cannot_be_read_says_what_works(client: httpx.AsyncClient, query: str, said: str) -> None:
    answer = await client.get(f"/logs?{query}")
    assert answer.status_code == 422
    assert said in Page(answer.text).text
    api = await client.get(f"/api/logs?{query}")
    assert (api.status_code, f"{said[:1].lower()}{said[1:].rstrip('.')}" in api.text) == (400, True)


async def test_the_api_answers_otlp_in_order_with_a_cursor(client: httpx.AsyncClient, store: Store) -> None:
    said = [record(f"r{n}", at_ms=n, service=f"s{n % 2}", trace=TRACE) for n in range(5)]
    await store.add_logs(said)
    first = (await client.get("/api/logs?limit=3")).json()
    assert decode_logs(json.dumps(first).encode(), is_json=True).records == said[:1:-1]
    assert first["complete"] is True
    rest = (await client.get("/api/logs", params={"limit": 3, "before": first["next"]})).json()
    assert decode_logs(json.dumps(rest).encode(), is_json=True).records == said[1::-1]
    assert "next" not in rest


async def test_the_api_answers_an_empty_list_where_nothing_fits(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/logs")).json() == {"resourceLogs": [], "complete": True}


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "q": st.text(min_size=1, max_size=9),
            "level": st.sampled_from(list(LEVELS)),
            "service": st.text(min_size=1, max_size=9),
            "trace": st.just(TRACE.hex()),
            "since": st.sampled_from(["15m", "7d"]),
            "limit": st.integers(1, 1000).map(str),
        },
    )
)
def test_the_address_of_a_form_reads_back_to_it(parameters: dict[str, str]) -> None:
    form = read_log_form(parameters, T0)
    query = dict(parse_qsl(urlsplit(form.url()).query))
    assert read_log_form(query, T0) == form


@pytest.mark.parametrize(
    ("body", "line", "whole"),
    [
        ("one line", "one line", ""),
        ("two\nlines", "two", "two\nlines"),
        ("x" * 600, "x" * 500, "x" * 600),
        ("x" * 30_000, "x" * 500, "x" * 20_000 + "… (30\u2009000 characters)"),
        ("", "(empty)", ""),
        (None, "(no body)", ""),
        (7, "7", ""),
        ({"event": "paid"}, '{"event": "paid"}', ""),
    ],
)
def test_a_line_is_the_first_of_its_body(body: Value, line: str, whole: str) -> None:
    (shown,) = lines([record(body)])
    assert (shown.body, shown.whole) == (line, whole)


def test_an_event_without_a_body_is_told_by_its_name() -> None:
    (shown,) = lines([record(None, event_name="checkout.done", severity_text="warning")])
    assert (shown.body, shown.level, shown.severity) == ("checkout.done", "! warn", "warn")


async def test_an_attribute_of_a_record_finds_the_others_that_have_it(client: httpx.AsyncClient, store: Store) -> None:
    await store.add_logs(
        [record(f"r{n}", at_ms=n, attributes={"user id": "a b" if n < 2 else 'c"', "n": n == 1}) for n in range(3)]
    )
    page = await get(client, "/logs?q=r1")
    links = [
        link.attributes["href"] for link in page.all("a") if link.attributes["href"].startswith("/logs?attributes=")
    ]
    assert [await listed(client, link) for link in links] == [["r1", "r0"], ["r1"]]


async def test_the_footer_counts_log_records(client: httpx.AsyncClient, store: Store) -> None:
    assert "log record" not in (await get(client, "/search")).one("footer").text
    await store.add([span("a")])
    await store.add_logs([record("a")])
    assert "1 log record" in (await get(client, "/search")).one("footer").text


def test_every_severity_but_none_can_be_asked_for() -> None:
    assert set(LEVELS.values()) == set(Severity) - {Severity.UNSPECIFIED}


async def test_a_service_that_only_logs_can_be_chosen_and_others_keep_their_colour(
    client: httpx.AsyncClient, store: Store
) -> None:
    await store.add_logs([record("a", service="quiet")])
    await store.add([span("a", service="shop")])
    options = [option.text for option in (await get(client, "/logs")).all("option")]
    assert options[options.index("Any service") + 1 :][:2] == ["shop", "quiet"]
    query = urlencode({"service": "quiet", "trace": trace_id("none").hex()})
    assert await listed(client, f"/logs?{query}") == []


@pytest.mark.parametrize(
    ("body", "attributes"),
    [
        (f'{{"event": "charged", "trace_id": "{TRACE.hex()}", "span_id": "{span_id("b").hex()}"}}', {}),
        ({"event": "charged", "trace_id": TRACE.hex(), "span_id": span_id("b").hex()}, {}),
        ("charged", {"otelTraceID": TRACE.hex(), "otelSpanID": span_id("b").hex()}),
        (f"INFO [trace_id={TRACE.hex()} span_id={span_id('b').hex()}] charged", {}),
    ],
)
async def test_a_record_whose_text_names_a_trace_leads_to_it(
    client: httpx.AsyncClient, store: Store, body: Value, attributes: dict[str, Value]
) -> None:
    await store.add_logs([record(body, attributes=attributes)])
    address = f"/trace/{TRACE.hex()}?span={span_id('b').hex()}"
    assert address not in [link.attributes["href"] for link in (await get(client, "/logs")).all("a")]
    await store.add([span("b")])
    assert address in [link.attributes["href"] for link in (await get(client, "/logs")).all("a")]


async def test_a_search_for_a_trace_of_which_there_are_logs_only_leads_to_them(
    client: httpx.AsyncClient, store: Store
) -> None:
    await store.add_logs([record("a", trace=TRACE)])
    page = await get(client, f"/search?q={TRACE.hex()}")
    assert "1 log record of it is." in page.text
    assert f"/logs?trace={TRACE.hex()}" in [link.attributes["href"] for link in page.all("a")]


async def test_the_lane_of_a_trace_has_all_its_records_in_a_word(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("charge", trace="t")])
    said = [
        record("first\nof two lines", at_ms=-1, trace="t", severity=9),
        record({"n": 1}, at_ms=2, trace="t", span="charge", severity=17, service="bank"),
        record("\u202eodd" + "x" * 300, at_ms=3, trace="t", span="gone"),
        record("of another", trace="u"),
    ]
    await store.add_logs(said)
    assert (await client.get(f"/trace/{trace_id('t').hex()}/logs.json")).json() == {
        "start": str(T0 - MS),
        "total": 3,
        "services": ["shop", "bank"],
        "spans": [span_id("charge").hex(), span_id("gone").hex()],
        "records": [
            [0, 9, -1, 0, "first"],
            [3 * MS, 17, 0, 1, '{"n": 1}'],
            [4 * MS, 0, 1, 0, "\\u202eodd" + "x" * 196],
        ],
    }


async def test_a_page_loads_the_lane_where_the_trace_has_records(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("a", trace="t"), span("b", trace="u")])
    await store.add_logs([record("said", trace="t")])
    pages = [(await client.get(f"/trace/{trace_id(name).hex()}")).text for name in "tu"]
    assert ["lane.js" in page for page in pages] == [True, False]
    assert ["<mt-lane" in page for page in pages] == [True, False]


async def test_a_line_leads_to_what_its_service_logged_before_it(client: httpx.AsyncClient, store: Store) -> None:
    await store.add_logs(
        [
            record("long ago", at_ms=-301_000, service="pay"),
            record("job started", at_ms=-150_000, service="pay"),
            record("of another", at_ms=-1, service="shop"),
            record("no connection", service="pay", trace="a", span="charge"),
            record("later", at_ms=2, service="pay"),
        ]
    )
    page = await get(client, "/logs?q=connection")
    (before,) = [link for link in page.all("a") if link.text == "What pay logged in the 5 minutes before"]
    assert await listed(client, before.attributes["href"]) == ["no connection", "job started"]


async def test_a_service_whose_name_is_too_long_for_an_address_has_no_such_link(
    client: httpx.AsyncClient, store: Store
) -> None:
    await store.add_logs([record("hello", service="x" * 1000)])
    assert "minutes before" not in (await get(client, "/logs")).text
