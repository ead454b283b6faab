"""Tempo's tag API: exact keys and types, identifiers in the path, a query that is half typed."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from minitrace.model import Event, Kind, Resource, Span
from minitrace.store.store import Store
from minitrace.web import tempo_tags
from tests.samples import T0, span


def shop() -> list[Span]:
    pay = Resource({"service.name": "pay", "region": "eu"})
    retry = Event(T0, "retry", {"attempt": 1})
    return [
        span("GET /cart", kind=Kind.SERVER, attributes={"http.route": "/cart", "code": 200, "ok": True, "share": 0.5}),
        span("charge", "GET /cart", resource=pay, attributes={"code": "200", 'a "b"/c': "x"}),
        span("refund", "GET /cart", resource=pay, attributes={"code": 200}, events=[retry]),
    ]


async def ask(client: httpx.AsyncClient, path: str, **parameters: str | int) -> Any:
    response = await client.get(path, params=parameters)
    assert response.status_code == 200, response.text
    return response.json()


def values_of(tag: str) -> str:
    return f"/api/v2/search/tag/{quote(tag, safe='')}/values"


async def test_names_by_scope_are_in_tempos_keys_and_order(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(shop())
    answer = await ask(client, "/api/v2/search/tags")
    intrinsic = answer["scopes"].pop()
    assert answer == {
        "scopes": [
            {"name": "resource", "tags": ["region", "service.name"]},
            {"name": "span", "tags": ['a "b"/c', "code", "http.route", "ok", "share"]},
            {"name": "event", "tags": ["attempt"]},
        ],
        "metrics": {},
    }
    assert intrinsic["name"] == "intrinsic"
    assert set(intrinsic["tags"]) == {
        "duration", "name", "status", "statusMessage", "kind", "rootServiceName", "rootName", "traceDuration",
        "event:name", "event:timeSinceStart", "link:spanID", "link:traceID", "instrumentation:name",
        "instrumentation:version", "trace:id", "span:id", "span:parentID", "span:status", "span:statusMessage",
        "span:duration", "span:name", "span:kind", "trace:rootName", "trace:rootService", "trace:duration",
    }  # fmt: skip


async def test_names_alone_are_listed_once_and_without_intrinsics(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("a", attributes={"x": 1}, resource=Resource({"x": 1, "y": 2}))])
    assert await ask(client, "/api/search/tags") == {"tagNames": ["x", "y"], "metrics": {}}
    assert "traceDuration" in (await ask(client, "/api/search/tags", scope="intrinsic"))["tagNames"]


@pytest.mark.parametrize(
    ("scope", "names"),
    [
        ("", ["resource", "span", "event", "intrinsic"]),
        ("none", ["resource", "span", "event", "intrinsic"]),
        ("span", ["span"]),
        ("link", []),
        ("intrinsic", ["intrinsic"]),
    ],
)
async def test_a_scope_is_shown_alone(client: httpx.AsyncClient, store: Store, scope: str, names: list[str]) -> None:
    await store.add(shop())
    answer = await ask(client, "/api/v2/search/tags", scope=scope)
    assert [one["name"] for one in answer["scopes"]] == names


async def test_names_are_limited_by_scope(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(shop())
    answer = await ask(client, "/api/v2/search/tags", limit=1)
    assert [len(scope["tags"]) for scope in answer["scopes"]] == [1, 1, 1, 1]


async def test_names_are_those_of_spans_that_the_query_finds(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(shop())
    answer = await ask(client, "/api/v2/search/tags", q="{ kind = server && name = }", scope="span")
    assert answer["scopes"] == [{"name": "span", "tags": ["code", "http.route", "ok", "share"]}]


@pytest.mark.parametrize(
    ("tag", "found"),
    [
        ("span.code", [("int", "200"), ("string", "200")]),
        (".code", [("int", "200"), ("string", "200")]),
        ("resource.service.name", [("string", "pay"), ("string", "shop")]),
        (".region", [("string", "eu")]),
        ("span.ok", [("bool", "true")]),
        ("span.share", [("float", "0.5")]),
        ('span."a \\"b\\"/c"', [("string", "x")]),
        ("event.attempt", [("int", "1")]),
        ("event:name", [("string", "retry")]),
        ("rootName", [("string", "GET /cart")]),
        ("trace:rootService", [("string", "shop")]),
        ("status", [("keyword", "ok"), ("keyword", "error"), ("keyword", "unset")]),
        ("span:status", [("keyword", "ok"), ("keyword", "error"), ("keyword", "unset")]),
        ("duration", []),
        ("trace:duration", []),
        ("span:id", []),
        ("span.status", []),
        ("span.nothing", []),
    ],
)
async def test_values_come_with_their_types(
    client: httpx.AsyncClient, store: Store, tag: str, found: list[tuple[str, str]]
) -> None:
    await store.add(shop())
    answer = await ask(client, values_of(tag), limit=5000, start=0, end=2_000_000_000, tag=tag)
    assert answer == {"tagValues": [{"type": type_, "value": value} for type_, value in found], "metrics": {}}


async def test_kinds_are_keywords(client: httpx.AsyncClient) -> None:
    answer = await ask(client, values_of("kind"))
    assert {one["type"] for one in answer["tagValues"]} == {"keyword"}
    assert {one["value"] for one in answer["tagValues"]} == {
        "client", "server", "producer", "consumer", "internal", "unspecified",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("service.name", ["pay", "shop"]),
        ("code", ["200"]),
        ('a "b"/c', ["x"]),
        ("status", ["ok", "error", "unset"]),
        ("span:name", ["GET /cart", "charge", "refund"]),
        ("span.code", []),
    ],
)
async def test_values_alone_are_asked_for_by_a_bare_name(
    client: httpx.AsyncClient, store: Store, name: str, found: list[str]
) -> None:
    await store.add(shop())
    answer = await ask(client, f"/api/search/tag/{quote(name, safe='')}/values")
    assert {key: sorted(value) for key, value in answer.items()} == {"tagValues": sorted(found)}


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("service.name", "attributes start with a dot or a scope: write resource.service.name or .service.name"),
        ("foo", "unknown word foo"),
        ("span:nothing", "span has no intrinsic nothing"),
        ("{ .a }", "expected an attribute or an intrinsic"),
        ("span.a = 1", "such as span.http.route or name, alone"),
        ('span."a', "is not closed"),
        ("", "expected an attribute or an intrinsic"),
    ],
)
async def test_what_is_no_identifier_is_400_with_the_remedy(client: httpx.AsyncClient, tag: str, said: str) -> None:
    response = await client.get(values_of(tag))
    assert (response.status_code, response.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    assert said in response.text


@pytest.mark.parametrize(
    ("path", "parameters", "said"),
    [
        ("/api/v2/search/tags", {"scope": "spam"}, "scope='spam' is none of none, resource, span"),
        ("/api/search/tags", {"scope": "spam"}, "scope='spam'"),
        ("/api/v2/search/tags", {"limit": "many"}, "limit='many' is not a whole number"),
        ("/api/v2/search/tag/name/values", {"limit": "-1"}, "limit='-1' is not a whole number"),
        ("/api/v2/search/tag/name/values", {"start": "soon"}, "start='soon' is not a time"),
    ],
)
async def test_bad_parameters_are_400(
    client: httpx.AsyncClient, path: str, parameters: dict[str, str], said: str
) -> None:
    response = await client.get(path, params=parameters)
    assert (response.status_code, said in response.text) == (400, True)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("{ resource.region = `eu` }", ["charge", "refund"]),
        ("{ resource.region = `eu` && span.code = `200` && name = }", ["charge"]),
        ("{ resource.region = `eu` || kind = server }", ["GET /cart", "charge", "refund"]),
        ("{ resource.region = }", ["GET /cart", "charge", "refund"]),
        ("{ name =~ `(` }", ["GET /cart", "charge", "refund"]),
        ("region=eu", ["GET /cart", "charge", "refund"]),
        ("}{", ["GET /cart", "charge", "refund"]),
        ("{" * 10_000, ["GET /cart", "charge", "refund"]),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_a_query_that_is_half_typed_is_never_an_error(
    client: httpx.AsyncClient, store: Store, query: str, found: list[str]
) -> None:
    await store.add(shop())
    answer = await ask(client, values_of("name"), q=query)
    assert sorted(one["value"] for one in answer["tagValues"]) == found


async def test_values_are_limited_and_at_most_so_many_as_grafana_asks_for(
    client: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.add([span(f"{n}", attributes={"n": n}) for n in range(4)])
    monkeypatch.setattr(tempo_tags, "MOST_VALUES", 3)
    counts = [len((await ask(client, values_of("span.n"), limit=limit))["tagValues"]) for limit in (2, 0, 9)]
    assert counts == [2, 3, 3]
