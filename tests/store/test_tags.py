"""What there is to choose from: names of attributes, and values, among all spans or those that meet a condition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from minitrace.errors import QueryTimeout
from minitrace.model import Event, Kind, Link, Resource, Scope, Span, Status, StatusCode
from minitrace.store import resolve, tags
from minitrace.store.database import Reader
from minitrace.store.store import Store
from minitrace.store.tags import Among
from minitrace.traceql.ast import Attribute, Intrinsic
from minitrace.traceql.fields import NO_ROOT, compile_condition, compile_field
from minitrace.traceql.lenient import lenient
from minitrace.traceql.structure import TraceRows
from tests.samples import MS, T0, span, trace_id

LIBRARY = Scope("library", "2", {"flavour": "plain"})
LINK = Link(trace_id("one"), b"12345678", "", {"why": "cause"})
DECLINED = Status(StatusCode.ERROR, "declined")


async def add_in_segments(store: Store, *parts: list[Span]) -> None:
    """Store each list of spans in a segment of its own."""
    for spans in parts:
        await store.add(spans)
        await store._writing.run(store._filling.next_segment)


def shop() -> list[list[Span]]:
    """Six spans of two traces, in two segments."""
    web = Resource({"service.name": "web", "region": "eu"})
    pay = Resource({"service.name": "pay", "region": "us"})
    return [
        [
            span("GET /cart", trace="one", resource=web, kind=Kind.SERVER, attributes={"route": "/cart", "code": 200}),
            span("load", "GET /cart", trace="one", resource=web, attributes={"table": "carts"}, scope=LIBRARY),
            span("load", "GET /cart", trace="one", resource=web, attributes={"table": "items"}, id="load 2"),
        ],
        [
            span("POST /pay", trace="two", resource=web, kind=Kind.SERVER, attributes={"route": "/pay", "code": 500}),
            span(
                "charge", "POST /pay", trace="two", resource=pay, status=DECLINED, attributes={"code": 402},
                duration_ms=300, events=[Event(T0, "retry", {"attempt": 1}), Event(T0, "retry", {"attempt": 2})],
            ),
            span("notify", "POST /pay", trace="two", resource=pay, links=[LINK]),
        ],
    ]  # fmt: skip


def among(query: str, **more: Any) -> Among:
    return Among(lenient(query), **more)


def own(name: str) -> Attribute:
    return Attribute("span", name)


async def test_names_are_listed_by_scope_in_alphabetical_order(store: Store) -> None:
    await add_in_segments(store, *shop())
    assert await store.tags() == {
        "event": ["attempt"],
        "instrumentation": ["flavour"],
        "link": ["why"],
        "resource": ["region", "service.name"],
        "span": ["code", "route", "table"],
    }


async def test_an_empty_store_has_neither_names_nor_values(store: Store) -> None:
    assert await store.tags() == {}
    assert [await store.tag_values(field) for field in (own("a"), Intrinsic("name"), Intrinsic("rootName"))] == [[]] * 3


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ('{ name = "charge" }', {"event": ["attempt"], "resource": ["region", "service.name"], "span": ["code"]}),
        ('{ span.table = "carts" }', {
            "instrumentation": ["flavour"], "resource": ["region", "service.name"], "span": ["table"]
        }),
        ("{ false }", {}),
    ],
)  # fmt: skip
async def test_names_are_those_of_spans_that_meet_the_condition(
    store: Store, query: str, found: dict[str, list[str]]
) -> None:
    await add_in_segments(store, *shop())
    assert await store.tags(among(query)) == found


async def test_values_of_all_segments_are_listed_the_commonest_first(store: Store) -> None:
    numbers = [3, 1, 3, 2, 3, 2]
    spans = [span(f"s{n}", attributes={"n": number}) for n, number in enumerate(numbers)]
    await add_in_segments(store, spans[:3], spans[3:])
    assert await store.tag_values(own("n")) == [3, 2, 1]
    assert await store.tag_values(own("n"), limit=2) == [3, 2]


async def test_values_of_one_key_keep_their_types(store: Store) -> None:
    found: list[Any] = [1, "1", 1.0, True, -(2**63), 1e22, ""]
    await store.add([span(f"s{n}", attributes={"x": value}) for n, value in enumerate(found)])
    values = await store.tag_values(own("x"))
    assert Counter((type(value), value) for value in values) == Counter((type(value), value) for value in found)


async def test_elements_of_arrays_are_values(store: Store) -> None:
    await store.add([span("a", attributes={"x": ["b", "a"]}), span("b", attributes={"x": "b"})])
    assert await store.tag_values(own("x")) == ["b", "a"]


@pytest.mark.parametrize("value", [b"bytes", {"a": 1}, None, float("nan"), float("inf"), [[1]]])
async def test_values_that_no_query_can_name_are_left_out(store: Store, value: Any) -> None:
    await store.add([span("a", attributes={"x": value})])
    assert await store.tags() == {"resource": ["service.name"], "span": ["x"]}
    assert await store.tag_values(own("x")) == []


async def test_a_value_too_long_to_choose_is_left_out(store: Store) -> None:
    fits, is_too_long = "x" * tags.LONGEST_VALUE, "y" * (tags.LONGEST_VALUE + 1)
    await store.add([span("a", attributes={"x": fits}), span("b", attributes={"x": is_too_long})])
    assert await store.tag_values(own("x")) == [fits]


async def test_values_of_resources_count_as_often_as_their_spans(store: Store) -> None:
    await store.add([span("a", service="shop"), span("b", service="pay"), span("c", service="pay")])
    assert await store.tag_values(Attribute("resource", "service.name")) == ["pay", "shop"]


async def test_an_attribute_without_a_scope_is_that_of_spans_and_resources(store: Store) -> None:
    await store.add([span("a", attributes={"x": "own"}, resource=Resource({"x": "of resource"}), scope=Scope())])
    assert sorted(map(str, await store.tag_values(Attribute(None, "x")))) == ["of resource", "own"]
    assert await store.tag_values(own("x")) == ["own"]


async def test_a_parents_attributes_are_those_of_spans(store: Store) -> None:
    await store.add([span("a", attributes={"x": 1})])
    assert await store.tag_values(Attribute("span", "x", of_parent=True)) == [1]


@pytest.mark.parametrize(
    ("field", "found"),
    [
        (Intrinsic("name"), {"GET /cart", "load", "POST /pay", "charge", "notify"}),
        (Intrinsic("statusMessage"), {"declined"}),
        (Intrinsic("event:name"), {"retry"}),
        (Intrinsic("instrumentation:name"), {"tests", "library"}),
        (Intrinsic("instrumentation:version"), {"1.0", "2"}),
        (Intrinsic("rootName"), {"GET /cart", "POST /pay"}),
        (Intrinsic("rootServiceName"), {"web"}),
        (Attribute("instrumentation", "flavour"), {"plain"}),
        (Attribute("event", "attempt"), {1, 2}),
        (Attribute("link", "why"), {"cause"}),
        (Intrinsic("status"), {StatusCode.OK, StatusCode.ERROR, StatusCode.UNSET}),
        (Intrinsic("kind"), set(Kind)),
        (Intrinsic("duration"), set()),
        (Intrinsic("traceDuration"), set()),
        (Intrinsic("trace:id"), set()),
        (Intrinsic("link:traceID"), set()),
        (Attribute("span", "rootName"), set()),
        (Attribute("span", "status"), set()),
    ],
    ids=lambda value: str(value) if isinstance(value, Attribute | Intrinsic) else "",  # a set's order changes
)
async def test_fields_have_their_values(store: Store, field: Attribute | Intrinsic, found: set[object]) -> None:
    await add_in_segments(store, *shop())
    assert set(map(repr, await store.tag_values(field))) == set(map(repr, found))


async def test_a_missing_root_is_a_value_as_in_queries(store: Store) -> None:
    await store.add([span("child", "missing")])
    assert await store.tag_values(Intrinsic("rootName")) == [NO_ROOT]


@pytest.mark.parametrize(
    "query",
    [
        "{ status = error }",
        "{ kind = server }",
        "{ duration > 200ms }",
        '{ resource.region = "eu" }',
        '{ .region = "us" && span.code > 100 }',
        '{ name = "load" || span.code = 402 }',
        "{ !(span.code = 200) }",
        "{ span.code = nil }",
        '{ name =~ "(GET|POST).*" }',
        '{ rootName = "GET /cart" }',
        '{ event:name = "retry" }',
        "{ event.attempt = 2 }",
        '{ instrumentation.flavour = "plain" }',
        "{ nestedSetParent < 0 }",
        '{ name = "nothing" }',
    ],
)
@pytest.mark.parametrize(
    "field",
    [
        own("code"),
        own("table"),
        Attribute("resource", "region"),
        Intrinsic("name"),
        Intrinsic("rootName"),
        Intrinsic("instrumentation:name"),
    ],
    ids=str,
)
async def test_a_condition_leaves_the_values_of_the_spans_that_the_evaluator_finds(
    store: Store, query: str, field: Attribute | Intrinsic
) -> None:
    segments = shop()
    await add_in_segments(store, *segments)
    condition = lenient(query)
    assert condition is not None
    rows = [row for part in segments for row in TraceRows(part).rows if compile_condition(condition)(row)]
    expected = {compile_field(field)(row) for row in rows} - {None}
    assert set(map(repr, await store.tag_values(field, among(query)))) == set(map(repr, expected))


async def test_values_are_counted_among_the_spans_that_meet_the_condition(store: Store) -> None:
    await store.add(
        [span(f"a{n}", attributes={"x": "here", "y": 1 if n == 0 else 2}) for n in range(3)]
        + [span(f"b{n}", attributes={"x": "there", "y": 1}) for n in range(5)]
    )
    assert await store.tag_values(own("y")) == [1, 2]
    assert await store.tag_values(own("y"), among('{ span.x = "here" }')) == [2, 1]


@pytest.mark.parametrize(
    "query",
    [
        "{ resource.region = }",
        "{ service.name = web }",
        "",
        "{ .code + 1 > 2 }",
        "{ parent.span.code = 200 }",
        "{ duration > span.code || name = `load` }",
    ],
)
async def test_what_cannot_be_read_or_asked_counts_as_true(store: Store, query: str) -> None:
    await add_in_segments(store, *shop())
    assert set(map(str, await store.tag_values(Attribute("resource", "region"), among(query)))) == {"eu", "us"}


async def test_what_can_be_asked_still_narrows_beside_what_cannot(store: Store) -> None:
    await add_in_segments(store, *shop())
    half = among('{ resource.region = "eu" && parent.span.code = 200 && span.code = }')
    assert await store.tag_values(Attribute("resource", "region"), half) == ["eu"]


async def test_a_value_of_a_key_with_very_many_values_narrows_without_a_scope_too(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "MOST_TERMS_IN_SQL", 2)
    await store.add([span(f"s{n}", attributes={"id": n, "n": n % 2}) for n in range(6)])
    assert await store.tag_values(own("n"), among("{ .id = 3 }")) == [1]
    assert await store.tag_values(own("n"), among("{ .id = 7 }")) == []


async def test_of_each_segment_the_newest_spans_that_meet_a_condition_are_asked(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tags, "FEW_SPANS", 2)
    parts = [[span(f"{n}", attributes={"n": n}) for n in range(first, first + 4)] for first in (10, 20)]
    await add_in_segments(store, *parts)
    assert set(map(str, await store.tag_values(own("n"), among("{ kind = unspecified }")))) == {"12", "13", "22", "23"}
    assert len(await store.tag_values(own("n"))) == 8


@pytest.mark.parametrize(("limit", "query"), [("MANY_TOKENS", ""), ("MANY_SPANS", "{ kind = unspecified }")])
async def test_older_segments_are_left_out_where_newer_ones_have_enough(
    store: Store, monkeypatch: pytest.MonkeyPatch, limit: str, query: str
) -> None:
    monkeypatch.setattr(tags, limit, 4)
    parts = [[span(f"{s}{n}", start_ms=s, attributes={"n": 10 * s + n}) for n in range(3)] for s in (1, 2, 3)]
    await add_in_segments(store, *parts)
    found = await store.tag_values(own("n"), among(query))
    assert sorted(map(str, found)) == ["20", "21", "22", "30", "31", "32"]


async def test_a_time_leaves_out_spans_where_there_is_a_condition_and_else_older_segments(store: Store) -> None:
    spans = [span(f"s{n}", start_ms=n * 1000, attributes={"n": n}) for n in range(4)]
    await add_in_segments(store, spans[:1], spans[1:])
    times = {"start_ns": T0 + 1500 * MS, "end_ns": T0 + 2500 * MS}
    assert await store.tag_values(own("n"), among("{ kind = unspecified }", **times)) == [2]
    assert set(map(str, await store.tag_values(own("n"), among("", **times)))) == {"1", "2", "3"}


class Late(Reader):
    """A reader whose deadline passes after some questions."""

    def __init__(self, reader: Reader, questions: int) -> None:
        super().__init__(reader._connection)
        self.questions = questions

    async def rows(self, sql: str, parameters: Iterable[Any] = ()) -> list[Any]:
        if not self.questions:
            raise QueryTimeout("too late")
        self.questions -= 1
        return await super().rows(sql, parameters)


async def test_at_the_deadline_there_is_what_was_found_so_far(store: Store) -> None:
    first, second = (span(f"s{n}", start_ms=n, attributes={f"key{n}": n, "n": n}) for n in range(2))
    await add_in_segments(store, [first], [second])
    readers = [Late(store._readers._all[0], questions) for questions in range(10)]
    found = [await tags.tag_values(reader, own("n"), Among(), 10) for reader in readers]
    assert [found[0], found[-1]] == [[], [1, 0]]
    assert [1] in found
    readers = [Late(store._readers._all[0], questions) for questions in range(10)]
    names = [(await tags.tags(reader, Among())).get("span") for reader in readers]
    assert [names[0], names[-1]] == [None, ["key0", "key1", "n"]]
    assert ["key1", "n"] in names


async def test_names_are_counted_among_the_newest_spans(store: Store) -> None:
    await add_in_segments(store, *shop())
    found = [dict(counts) async for counts in store.tag_counts()]
    assert found[-1] == {
        ("resource", "service.name"): 3,
        ("resource", "region"): 3,
        ("span", "code"): 2,
        ("event", "attempt"): 2,
        ("span", "route"): 1,
        ("link", "why"): 1,
        ("span", "table"): 0,  # only older segments have it
        ("instrumentation", "flavour"): 0,
    }
    assert found[0].keys() == found[-1].keys() - {("span", "table"), ("instrumentation", "flavour")}


async def test_names_are_counted_among_the_spans_that_meet_a_condition(store: Store) -> None:
    await add_in_segments(store, *shop())
    *_, found = [counts async for counts in store.tag_counts(among("{ kind = server }"))]
    assert found == {
        ("resource", "service.name"): 2,
        ("resource", "region"): 2,
        ("span", "code"): 2,
        ("span", "route"): 2,
    }


async def test_values_are_counted_from_segment_to_segment(store: Store) -> None:
    await add_in_segments(store, *shop())
    found = [dict(counts) async for counts in store.value_counts(own("code"))]
    assert found == [{(int, 500): 1, (int, 402): 1}, {(int, 500): 1, (int, 402): 1, (int, 200): 1}]
