"""The pages over the real app and a real store: whole, in part, empty and odd."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, quote_plus

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from minitrace.config import Config
from minitrace.live import Live, Received
from minitrace.model import Event, Resource, Status, StatusCode
from minitrace.store.retention import Limits
from minitrace.store.store import Store
from minitrace.web import welcome
from minitrace.web.app import create_app
from minitrace.web.box import EXAMPLES
from tests.samples import T0, span, span_id, trace_id
from tests.web.pagetext import HTML, Page, get, part, plain, url

SHOP = quote_plus('{ resource.service.name = "shop" }')
FAILED = Status(StatusCode.ERROR, "card declined")


def traces_of(page: Page) -> list[str]:
    """The names of the traces found, in order."""
    return [plain(cell.text) for cell in page.all("td", class_="what")]


def offered_in(page: Page, id: str) -> list[str]:
    """What a datalist offers."""
    return [o.attributes["value"] for o in page.all("option") if o.parents[-1] is page.one("datalist", id=id)]


# The search


async def test_traces_are_listed_newest_first(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("old", trace="a", start_ms=0), span("new", trace="b", start_ms=1000)])
    page = await get(client, "/search")
    assert traces_of(page) == ["shop new", "shop old"]
    assert "2 traces" in page.text
    assert "2 looked at in" in page.text


async def test_a_result_says_what_there_is_to_know(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(
        [
            span("checkout", trace="a", duration_ms=1240),
            span("charge", "checkout", trace="a", service="payment", status=FAILED),
            span("pay", "checkout", trace="a", service="payment"),
        ]
    )
    page = await get(client, "/search")
    row = plain(page.all("tr")[1].text)
    assert row.endswith("shop checkout 1.24 s 3 spans ⨯ 1 payment 2shop 1")
    time = page.all("time")[0]
    assert time.attributes["datetime"] == "2023-11-14T22:13:20.000000Z"
    assert "2023-11-14 22:13:20.000 UTC, " in time.attributes["title"]
    assert page.one("td", class_="what").parents[-1].attributes["class"] == "error"


async def test_a_trace_whose_root_is_not_there_yet_is_listed(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("charge", "checkout", trace="a")])
    assert traces_of(await get(client, "/search")) == ["root not received"]


async def test_filters_narrow_down_and_show_the_spans_that_match(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(
        [
            span("checkout", trace="a"),
            span("charge", "checkout", trace="a", service="payment", duration_ms=300, status=FAILED),
            span("checkout", trace="b", start_ms=5),
        ]
    )
    page = await get(client, "/search?service=payment&status=error&min=250ms&max=1s&name=charge&q=declined")
    assert traces_of(page) == ["shop checkout"]
    matched = page.one("tr", class_="matched")
    assert plain(matched.text) == "1 span matches payment charge 300 ms ⨯ error"
    assert f"{url('a')}?span={span_id('charge').hex()}" in [a.attributes.get("href") for a in page.all("a")]


async def test_filters_stay_in_their_fields(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout", trace="a")])
    page = await get(client, "/search?q=x+y&service=gone&name=charge&status=ok&min=1ms&max=2s&since=6h&limit=7")
    fields = {field.attributes.get("name"): field.attributes.get("value") for field in reversed(page.all("input"))}
    assert page.one("textarea", name="q").text.strip() == "x y"
    assert fields | {"name": "charge", "min": "1ms", "max": "2s", "limit": "7"} == fields
    chosen = [option.attributes["value"] for option in page.all("option") if "selected" in option.attributes]
    assert chosen == ["gone", "ok", "6h"]


async def test_a_trace_is_found_in_the_time_it_overlaps(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(
        [
            span("early", trace="a"),
            span("long", trace="b", start_ms=1000, duration_ms=50_000),
            span("late", trace="c", start_ms=60_000),
            span("later", trace="d", start_ms=160_000),
        ]
    )
    page = await get(client, "/search?from=2023-11-14T22:14:00Z&to=2023-11-14T22:15:00Z")
    assert traces_of(page) == ["shop late", "shop long"]
    assert "open" in page.one("details", class_="times").attributes
    assert traces_of(await get(client, "/search?since=15m")) == []


async def test_operations_are_those_of_the_service(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout", trace="a"), span("charge", trace="a", service="payment")])
    page = await get(client, "/search?service=payment")
    assert offered_in(page, "operations") == ["charge"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("min=250", "Write a number and a unit, such as 250ms, 1.5s or 2m."),
        ("max=soon", "Write a number and a unit, such as 250ms, 1.5s or 2m."),
        ("min=2s&max=1s", "This is shorter than the shortest."),
        ("from=yesterday", "Write a date and a time, such as 2026-11-22T13:00."),
        ("to=2026-99-99", "Write a date and a time, such as 2026-11-22T13:00."),
        (
            "attributes=retries+>=+3",
            "At character 1: write retries=value, with one of = > >= < <= ~ and no space around it.",
        ),
        (
            "attributes=size>3",
            "The values of size are strings, and have no order of numbers: use = or ~ with it, "
            'or "3" in quotes for the order of letters.',
        ),
    ],
)
async def test_a_field_that_cannot_be_read_says_what_works(
    client: httpx.AsyncClient, store: Store, query: str, message: str
) -> None:
    await store.add([span("checkout", attributes={"size": "large"})])
    answer = await client.get(f"/search?{query}", headers=HTML)
    problems = [p.text for p in Page(answer.text).all("p", class_="problem") if p.text]
    assert (answer.status_code, problems) == (422, [message])
    name, _, typed = query.partition("&")[0].partition("=")
    assert Page(answer.text).one("input", name=name).attributes["value"] == typed.replace("+", " ")


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("http.response.status_code=500", ["number"]),
        ('http.response.status_code="500"', ["text"]),
        ("retries>=3", ["number"]),
        ("retries<3", []),
        ('user.id="a b"', ["number"]),
        ("user.id~B", ["number"]),
        ("zip=01234", ["text"]),
        ("is.retry=true retries=3", ["number"]),
        ("is.retry=true zip=01234", []),
        ("resource.service.name=shop", ["number", "text"]),
        ("span.service.name=shop", []),
        ("service.name=shop", ["number", "text"]),
        ('event."the key"=1', ["number"]),
        ('"the key"=1', []),
        ("retries=9999999999999999999999", []),
    ],
)
async def test_attributes_find_spans(client: httpx.AsyncClient, store: Store, typed: str, found: list[str]) -> None:
    await store.add(
        [
            span(
                "number",
                trace="a",
                attributes={"http.response.status_code": 500, "retries": 3, "user.id": "a b", "is.retry": True},
                events=[Event(T0, "e", {"the key": 1})],
            ),
            span("text", trace="b", attributes={"http.response.status_code": "500", "zip": "01234"}),
        ]
    )
    page = await get(client, f"/search?attributes={quote(typed)}")
    assert sorted(name.removeprefix("shop ") for name in traces_of(page)) == found


async def test_digits_find_strings_where_a_key_has_no_numbers(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("text", trace="a", attributes={"status": "500"})])
    assert traces_of(await get(client, "/search?attributes=status=500")) == ["shop text"]
    await store.add([span("number", trace="b", start_ms=1, attributes={"status": 500})])
    assert traces_of(await get(client, "/search?attributes=status=500")) == ["shop number"]
    assert traces_of(await get(client, "/search?attributes=resource.status=500")) == []


async def test_a_key_that_nothing_has_is_named(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout", trace="a", attributes={"http.route": "/x"})])
    page = await get(client, "/search?attributes=http.rout=/x+resource.http.route=/x+http.route=/y")
    missing = "No span has the attribute http.rout or resource.http.route (but there is span.http.route)."
    assert missing in page.text
    assert missing in (await get(client, f"/search?q={quote('{ .http.rout != resource.http.route }')}")).text
    assert "No span has" not in (await get(client, "/search?attributes=http.route=/y")).text


async def test_the_keys_that_are_stored_are_offered(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout", trace="a", attributes={"http.route": "/x", "a b": 1})])
    assert offered_in(await get(client, "/search"), "attribute-keys") == ['"a b"=', "http.route=", "service.name="]


async def test_a_bad_field_leaves_the_results_alone(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout", trace="a")])
    answer = await client.get("/search?min=abc", headers=part("section#results"))
    page = Page(answer.text)
    assert answer.status_code == 422
    assert {element.tag for element in page.elements} == {"hx-partial"}  # nothing for the target itself
    assert [p.text for p in page.all("hx-partial", hx_target="#min-problem")] != [""]


async def test_htmx_gets_the_results_alone(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout", trace="a")])
    page = await get(client, "/search?q=check", part("section#results"))
    assert page.all("form", id="search") == []
    assert traces_of(page) == ["shop checkout"]
    cleared = [p.text for p in page.all("hx-partial") if p.attributes["hx-target"].endswith("-problem")]
    assert cleared == ["", "", "", "", ""]


@pytest.mark.parametrize(
    "headers",
    [
        HTML,
        HTML | {"HX-History-Restore-Request": "true", "HX-Request-Type": "full", "HX-Target": "body"},
        HTML | {"HX-Request": "true", "HX-Request-Type": "full", "HX-Target": "section#results"},
        HTML | {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "section#nothing"},
    ],
)
async def test_everybody_else_gets_the_whole_page(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await client.get("/search", headers=headers)
    assert Page(answer.text).one("html").attributes["lang"] == "en"
    assert answer.headers["vary"] == "HX-Request, HX-Request-Type, HX-Target"


async def test_nothing_found_offers_a_way_out(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout", trace="a")])
    page = await get(client, "/search?q=nothing-like-it")
    assert "No trace matches. Show all" in page.text
    assert [a.text for a in page.all("a", href="/search")] == ["Search", "Reset", "Show all"]


async def test_nothing_stored_leads_to_the_first_steps(client: httpx.AsyncClient) -> None:
    page = await get(client, "/search")
    assert "Nothing is stored yet. How to send the first span" in page.text
    assert "Delete all" not in page.text


async def test_older_traces_are_a_link_that_keeps_the_filters(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span(f"op {n}", trace=f"t{n}", start_ms=n * 1000) for n in range(5)])
    page = await get(client, "/search?service=shop&limit=2")
    assert traces_of(page) == ["shop op 4", "shop op 3"]
    (older,) = [a.attributes["href"] for a in page.all("a") if a.text == "Older traces"]
    assert older.startswith(f"/search?q={SHOP}&limit=2&before=")
    second = await get(client, older)
    assert traces_of(second) == ["shop op 2", "shop op 1"]
    assert [a.attributes["href"] for a in second.all("a") if a.text == "Newest traces"] == [f"/search?q={SHOP}&limit=2"]


async def test_a_made_up_cursor_is_an_error_that_says_so(client: httpx.AsyncClient) -> None:
    answer = await client.get("/search?before=soon", headers=HTML)
    assert (answer.status_code, "is not a place to continue from" in answer.text) == (400, True)


async def test_a_search_that_ran_out_of_time_says_how_far_it_came_and_goes_on(tmp_path: Path) -> None:
    async with await Store.open(tmp_path / "slow.db", query_timeout_s=0.25) as slow:
        await slow.add([span("op", trace=f"t{n}", start_ms=n, attributes={"n": n}) for n in range(20_000)])
        transport = httpx.ASGITransport(create_app(Config(), store=slow))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:4318") as client:
            page = await get(client, f"/search?q={quote('{ } | max(.n) < 10')}")
    assert page.text.count("No trace matches so far") == 2
    assert "The query took too long; narrow the time range or add a filter. It looked back to 2023-11-14" in page.text
    (further,) = [a.attributes["href"] for a in page.all("a") if a.text == "Go on from there"]
    assert further.startswith(f"/search?q={quote_plus('{ } | max(.n) < 10')}&before=")
    assert "Search" in page.one("title").text


async def test_what_is_not_whole_or_pinned_is_said_in_the_list(tmp_path: Path) -> None:
    limits = Limits(max_spans=16)
    async with await Store.open(tmp_path / "small.db", limits=limits) as small:
        await small.add([span("root", trace="halved"), span("kept", trace="kept")])
        await small.pin(trace_id("kept"))
        await small.add([span("late", "root", trace="halved", start_ms=1)])
        await small.add([span("root", trace="orphan", start_ms=2), span("lost", "gone", trace="orphan")])
        await small.add([span(f"filler {n}", trace="filler") for n in range(12)])  # the 17th span is one too many
        await small.keep_within_limits()
        transport = httpx.ASGITransport(create_app(Config(), store=small))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:4318") as client:
            page = await get(client, "/search")
            halved = await get(client, url("halved"))
    rows = traces_of(page)
    assert "pinned shop kept" in rows
    assert "shop root incomplete" in rows
    assert "root not stored 1 removed" in rows
    assert "1 span of this trace was removed to make room; pin a trace to keep it." in halved.text
    (mark,) = [m for m in page.all("span", class_="mark") if m.text == "1 removed"]
    assert mark.attributes["title"] == "1 span of this trace was removed to make room; pin a trace to keep it"


# TraceQL in the search box


def asked(text: str) -> str:
    """The address of a search for a text."""
    return f"/search?q={quote(text, safe='')}"


def links_named(page: Page, text: str) -> list[str]:
    """Where the links with this text lead."""
    return [a.attributes["href"] for a in page.all("a") if plain(a.text) == text]


async def test_a_query_is_searched(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(
        [
            span("checkout", trace="a"),
            span("charge", "checkout", trace="a", service="payment", status=FAILED, attributes={"code": 502}),
            span("checkout", trace="b", start_ms=5, attributes={"code": 502}),
        ]
    )
    page = await get(client, asked('{ name = "checkout" } >> { .code >= 500 }'))
    assert traces_of(page) == ["shop checkout"]
    assert plain(page.one("tr", class_="matched").text) == "1 span matches payment charge 10 ms ⨯ error code = 502"
    assert page.one("textarea", name="q").text.strip() == '{ name = "checkout" } >> { .code >= 500 }'
    assert "1 trace, 1 with errors" in page.text


async def test_each_group_of_a_trace_stands_in_its_own_row(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span(f"GET {n % 7}", trace="a", id=f"{n}", start_ms=n, duration_ms=2) for n in range(13)])
    page = await get(client, asked("{ } | by(name) | avg(duration) > 1ms"))
    rows = [plain(row.text) for row in page.all("tr", class_="matched")]
    assert rows[0] == 'by(name) = "GET 0" · avg(duration) = 2 ms 2 spans match shop GET 0 2 ms shop GET 0 2 ms'
    assert rows[5:] == ["and 2 groups more"]


async def test_a_query_with_a_mistake_says_where_and_leaves_the_results(
    client: httpx.AsyncClient, store: Store
) -> None:
    await store.add([span("checkout")])
    answer = await client.get(asked("{ duration > }"), headers=HTML)
    page = Page(answer.text)
    alert = page.one("div", role="alert")
    assert (answer.status_code, plain(alert.text)) == (422, 'expected a value after ">" { duration > } ^')
    assert page.one("pre").text == "  { duration > }\n               ^"
    assert page.one("pre").parents[-1] is alert
    in_part = await client.get(asked("{ duration > }"), headers=part("section#results"))
    assert (in_part.status_code, Page(in_part.text).one("div", role="alert").text) == (422, alert.text)
    assert {element.parents[0].tag for element in Page(in_part.text).all("p")} == {"hx-partial"}  # no results


async def test_metrics_are_refused_with_a_link_to_their_spans(client: httpx.AsyncClient) -> None:
    answer = await client.get(asked("{ status = error } | rate()"), headers=HTML)
    page = Page(answer.text)
    assert answer.status_code == 422
    assert "rate() gives series over time: ask /api/metrics/query_range for them" in page.text
    assert links_named(page, "{ status = error }")[0] == "/search?q=%7B+status+%3D+error+%7D"


async def test_a_warning_does_not_keep_a_query_from_being_asked(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout", attributes={"kind": "x"})])
    page = await get(client, asked('{ span.kind = "x" }'))
    assert "span.kind is an attribute; did you mean kind" in page.one("p", class_="warning").text
    assert traces_of(page) == ["shop checkout"]


async def test_a_condition_without_braces_is_words_and_suggests_the_query(
    client: httpx.AsyncClient, store: Store
) -> None:
    await store.add([span("checkout", attributes={"note": "status = error"})])
    page = await get(client, asked("status = error") + "&since=30d&service=shop")
    assert "Did you mean { status = error }?" in page.text
    (link, *_) = links_named(page, "{ status = error }")
    assert link == "/search?q=%7B+status+%3D+error+%7D&service=shop&since=30d"
    assert traces_of(await get(client, asked("status = error"))) == ["shop checkout"]


async def test_words_and_fields_must_hold_on_one_span(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(
        [
            span("charge", trace="a", status=FAILED),
            span("charge", trace="b", attributes={"why": "declined"}),
            span("charge", trace="c", attributes={"why": "declined"}, service="payment", start_ms=1),
        ]
    )
    assert traces_of(await get(client, "/search?q=declined&service=payment")) == ["payment charge"]
    assert len(traces_of(await get(client, "/search?q=declined"))) == 3


async def test_a_query_and_fields_narrow_each_other(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("a", trace="a", attributes={"n": 1}), span("b", trace="b", attributes={"n": 2}, start_ms=1)])
    assert traces_of(await get(client, asked("{ .n > 0 }") + "&name=a")) == ["shop a"]
    assert traces_of(await get(client, asked("count() > 0") + "&name=b")) == ["shop b"]
    assert traces_of(await get(client, asked("{ .n > 1 }") + "&name=a")) == []


@pytest.mark.parametrize("resource", [Resource(), Resource({"service.name": ""})])
async def test_a_service_without_a_name_is_found(client: httpx.AsyncClient, store: Store, resource: Resource) -> None:
    named = span("named", trace="b", service="unknown_service")
    await store.add([span("none", trace="a", start_ms=1, resource=resource), named, span("other", trace="c")])
    page = await get(client, "/search?service=unknown_service")
    assert traces_of(page) == ["unknown_service none", "unknown_service named"]
    assert traces_of(await get(client, "/search?service=unknown_service&q=none")) == ["unknown_service none"]


async def test_every_example_leads_to_a_search(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout")])
    page = await get(client, "/search?service=shop&since=1h")
    links = [a.attributes["href"] for a in page.all("a") if plain(a.text) in dict(EXAMPLES)]
    assert len(links) == len(EXAMPLES)
    for link in links:
        found = await get(client, link)
        assert found.all("div", role="alert") == []
        assert link.endswith("&since=1h")


# Ids in the search box


@pytest.mark.parametrize(
    "text", ["{trace}", "00-{trace}-{span}-01", "x trace_id={trace} span_id={span}", "{trace}:{span}:0:1"]
)
async def test_a_pasted_id_leads_to_its_trace(client: httpx.AsyncClient, store: Store, text: str) -> None:
    await store.add([span("checkout", trace="a")])
    ids = {"trace": trace_id("a").hex(), "span": span_id("checkout").hex()}
    answer = await client.get("/search", params={"q": text.format(**ids)}, headers=HTML)
    expected = f"/trace/{ids['trace']}" + (f"?span={ids['span']}" if "{span}" in text else "")
    assert (answer.status_code, answer.headers["location"]) == (303, expected)


async def test_a_pasted_id_leads_htmx_to_its_trace(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout", trace="a")])
    answer = await client.get(f"/search?q={trace_id('a').hex()}", headers=part("section#results"))
    assert (answer.status_code, answer.headers["hx-redirect"]) == (204, url("a"))


async def test_an_id_that_is_not_stored_is_said_kindly(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout", trace="a")])
    page = await get(client, f"/search?q={'ab' * 16}")
    assert f"No trace {'ab' * 16} is stored. Its spans may still be on their way" in page.text


async def test_an_id_that_may_be_a_span_is_said_to_be_no_trace(client: httpx.AsyncClient) -> None:
    page = await get(client, f"/search?q={span_id('checkout').hex()}")
    assert f"No trace {span_id('checkout').hex()} is stored. If this is the id of a span" in page.text


async def test_a_log_line_in_json_leads_to_its_trace(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout", trace="a")])
    line = f'{{"level": "info", "trace_id": "{trace_id("a").hex()}"}}'
    answer = await client.get(asked(line), headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, url("a"))


async def test_a_query_with_an_id_in_it_stays_a_query(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout", trace="a")])
    page = await get(client, asked(f'{{ trace:id = "{trace_id("a").hex()}" }}'))
    assert traces_of(page) == ["shop checkout"]


async def test_a_log_line_with_an_unknown_id_is_searched_as_words(client: httpx.AsyncClient, store: Store) -> None:
    id = "ab" * 16
    await store.add([span("checkout", trace="a", attributes={"peer": f"order {id}"})])
    page = await get(client, "/search", HTML)
    assert traces_of(await get(client, f"/search?q=order+{id}")) == traces_of(page) == ["shop checkout"]


# The first run


async def test_the_first_run_says_where_to_send(client: httpx.AsyncClient) -> None:
    page = await get(client, "/")
    assert "minitrace is listening" in page.text
    assert page.one("code", id="endpoint").text == "http://localhost:4318"
    assert page.text.count("OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318") == 4
    assert "OTEL_EXPORTER_OTLP_PROTOCOL" not in page.text  # any is right
    assert "OTEL_EXPORTER_OTLP_HEADERS" not in page.text
    assert "--data @- <<END" in page.one("pre", id="code-curl").text
    assert [label.text for label in page.all("label")] == [
        "Any SDK", "Python", "Node", "Java", "Go", ".NET", "Collector", "curl",
    ]  # fmt: skip
    (refresh,) = page.all("meta", http_equiv="refresh")
    assert refresh.parents[-1].tag == "noscript"


async def test_the_first_run_names_a_token_and_never_tells_it(store: Store) -> None:
    transport = httpx.ASGITransport(create_app(Config(token="s3cret"), store=store))
    bearer = HTML | {"Authorization": "Bearer s3cret"}
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:4318") as client:
        page = await get(client, "/", bearer)
    assert page.text.count('OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20YOUR-TOKEN"') == 4
    assert "s3cret" not in page.text


async def test_the_first_run_shows_what_the_receiver_saw(client: httpx.AsyncClient, live: Live) -> None:
    live.requests.add(Received("POST", "/", status=404, problem="wrong", cure="Did you mean /v1/traces?"))
    html = (await get(client, "/")).text
    assert "POST / 404: wrong" in html
    assert "Did you mean /v1/traces?" in html


async def test_the_first_trace_is_announced_and_the_stream_ends_with_the_server(store: Store, live: Live) -> None:
    stream = welcome.messages(store, live)
    assert "Waiting for your first span" in await anext(stream)
    await store.add([span("GET /cart", trace="a", service="checkout")])
    live.publish([trace_id("a")])
    message = await anext(stream)
    assert "checkout: GET /cart (1 span)" in message
    assert url("a") in message
    assert all(line.startswith("data: ") for line in message.rstrip("\n").split("\n"))
    live.requests.add(Received("POST", "/", status=404, problem="wrong"))
    assert "POST / 404: wrong" in await anext(stream)
    live.close()
    assert [message async for message in stream] == []


async def test_with_data_the_search_is_the_first_page(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout", trace="a")])
    answer = await client.get("/", headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/search")


# Theme and frame


@pytest.mark.parametrize(
    ("back", "location"),
    [
        ("/search?q=a", "/search?q=a"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("/\t/evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ],
)
async def test_the_theme_is_kept_and_the_way_back_stays_here(
    client: httpx.AsyncClient, back: str, location: str
) -> None:
    answer = await client.post("/theme", data={"theme": "dark", "next": back})
    assert (answer.status_code, answer.headers["location"]) == (303, location)
    assert "HttpOnly" in answer.headers["set-cookie"]
    page = await get(client, "/search")  # the client has kept the cookie
    assert page.one("html").attributes["data-theme"] == "dark"
    assert page.one("button", aria_pressed="true").attributes["value"] == "dark"


async def test_a_theme_is_one_of_three(client: httpx.AsyncClient) -> None:
    assert (await client.post("/theme", data={"theme": "pink"})).status_code == 400
    assert (await client.post("/theme", content=b"theme=" + b"x" * 5000)).status_code == 413
    client.cookies.set("minitrace_theme", '"><script>')
    assert (await get(client, "/search")).one("html").attributes["data-theme"] == "auto"


async def test_reading_does_not_set_the_theme(client: httpx.AsyncClient) -> None:
    assert (await client.get("/theme?theme=dark", headers=HTML)).status_code == 405


async def test_the_footer_says_what_is_stored(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("checkout", trace="a")])
    footer = plain((await get(client, "/search")).one("footer").text)
    assert footer.startswith("1 span in 1 trace ")
    assert str(store.path) in footer
    assert footer.endswith("data never leaves this machine")


async def test_an_error_is_a_page_for_people_and_a_line_for_programs(client: httpx.AsyncClient) -> None:
    page = await client.get("/nothing", headers=HTML)
    line = await client.get("/nothing", headers={"Accept": "*/*"})
    assert (page.status_code, Page(page.text).one("h1").text) == (404, "There is nothing at this address.")
    assert (line.status_code, line.text) == (404, "There is nothing at this address.\n")


async def test_pages_work_within_another_app(store: Store) -> None:
    await store.add([span("checkout", trace="a")])
    outer = Starlette(routes=[Mount("/tools/minitrace", create_app(Config(), store=store))])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(outer), base_url="http://localhost") as client:
        for path in ("/search", url("a"), f"{url('a')}?span={span_id('checkout').hex()}"):
            page = await get(client, "/tools/minitrace" + path)
            addresses = [
                e.attributes[name] for e in page.elements for name in ("href", "src", "action") if name in e.attributes
            ]
            assert [a for a in addresses if not a.startswith(("/tools/minitrace/", "#"))] == []
            for style in page.all("link", rel="stylesheet"):
                assert (await client.get(style.attributes["href"])).status_code == 200
        answer = await client.get("/tools/minitrace/", headers=HTML)
        assert answer.headers["location"] == "/tools/minitrace/search"


@pytest.mark.parametrize("path", ["/search?q=a&service=b", "/search?min=x", "/nothing", "/"])
async def test_every_link_and_form_stays_here(client: httpx.AsyncClient, path: str) -> None:
    page = Page((await client.get(path, headers=HTML)).text)
    for element in page.elements:
        for name in ("href", "src", "action", "hx-get", "hx-sse:connect"):
            if name in element.attributes:
                assert element.attributes[name].startswith(("/", "#")), element.shape


async def test_a_column_shows_the_values_of_the_first_spans_that_match(client: httpx.AsyncClient, store: Store) -> None:
    attributes = [{"n": 1}, {"n": True}, {"n": "a\x00b"}, {"other": 1}]
    await store.add([span(f"op {n}", trace="a", start_ms=n, attributes=one) for n, one in enumerate(attributes)])
    page = await get(client, "/search?cols=trace,span.n")
    assert [value.text for value in page.all("span", class_="value")] == ["1", "true", "a\\x00b"]
