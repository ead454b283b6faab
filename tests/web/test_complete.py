"""What `/_/complete` answers to a text and a caret."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest

from minitrace.config import Config
from minitrace.model import Event, Kind, Resource, Span
from minitrace.store.store import Store
from minitrace.store.tags import Among
from minitrace.web import choices
from minitrace.web.app import create_app
from minitrace.web.choices import Choices
from tests.samples import T0, span


def shop() -> list[Span]:
    pay = Resource({"service.name": "payment", "region": "eu"})
    return [
        span("GET /cart", kind=Kind.SERVER, attributes={"http.route": "/cart", "code": 200, "share": 0.5, "ok": True}),
        span("GET /pay", id="pay", attributes={"http.route": "/pay", "code": 500}),
        span("GET /pay", id="pay 2", attributes={"http.route": "/pay", 'a "b"': "x"}),
        span('say "hi"\n', resource=pay, attributes={"code": 500}, events=[Event(T0, "retry", {"attempt": 1})]),
    ]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is counted is offered, however busy the machine is."""
    monkeypatch.setattr(choices, "PATIENCE_S", 15)
    monkeypatch.setattr(choices, "LONGEST_S", 15)


@pytest.fixture
async def filled(client: httpx.AsyncClient, store: Store) -> httpx.AsyncClient:
    """A client of an app whose store has some spans."""
    await store.add(shop())
    return client


async def ask(client: httpx.AsyncClient, drawn: str, **parameters: str) -> Any:
    """The answer to a text in which │ is the caret."""
    text = drawn.replace("│", "")
    question = {"q": text, "pos": str(drawn.index("│")), **parameters}
    response = await client.get("/_/complete", params=question)
    assert response.status_code == 200, response.text
    return response.json()


def labels(answer: Any) -> list[str]:
    return [item["label"] for item in answer["items"]]


def chosen(drawn: str, answer: Any, label: str) -> str:
    """The text after one of the items was chosen."""
    text = drawn.replace("│", "")
    insert: str = next(item["insert"] for item in answer["items"] if item["label"] == label)
    return text[: answer["from"]] + insert + text[answer["to"] :]


@pytest.mark.parametrize(
    ("drawn", "label", "text"),
    [
        ("{ na│", "name", "{ name "),
        ("{│", "name", "{ name "),
        ("{ na│ = 1 }", "name", "{ name = 1 }"),
        ("{ route│", "span.http.route", "{ span.http.route "),
        ("{ .rou│", ".http.route", "{ .http.route "),
        ("{ parent.│", "parent.span.http.route", "{ parent.span.http.route "),
        ('{ span."a│', 'span."a \\"b\\""', '{ span."a \\"b\\"" '),
        ("{ resou│", "resource.", "{ resource."),
        ("{ name│", "statusMessage", ""),
        ("{ name│", "name", ""),
        ("{ name │", "=", "{ name = "),
        ("{ .a =│}", "true", "{ .a = true }"),
        ("{ name = │", 'say "hi"', '{ name = "say \\"hi\\"\\n" '),
        ('{ name = "hi│" }', 'say "hi"', '{ name = "say \\"hi\\"\\n" }'),
        ("{ name = hi│", 'say "hi"', '{ name = "say \\"hi\\"\\n" '),
        ("{ name =~ pay│", "GET /pay", '{ name =~ "GET /pay" '),
        ('{ span.a =~ "│', "x", ""),
        ("{ span.code = │", "500", "{ span.code = 500 "),
        ("{ span.share > │", "0.5", "{ span.share > 0.5 "),
        ("{ span.ok = │", "true", "{ span.ok = true "),
        ("{ duration > 25│", "25ms", "{ duration > 25ms "),
        ("{ duration > │", "1s", "{ duration > 1s "),
        ("{ kind = s│", "server", "{ kind = server "),
        ('{ name = "x"│ }', "&&", '{ name = "x" && }'),
        ("{ .a = 1 &│", "&&", "{ .a = 1 && "),
        ("{ } | co│", "count", "{ } | count() "),
        ("{ } | by(│)", "name", "{ } | by(name)"),
        ("{ } | av│", "avg_over_time", "{ } | avg_over_time("),
        ("{ .a │", "}", "{ .a } "),
        ("paym│", "payment", '{ resource.service.name = "payment" }'),
        ("GET /p│", "GET /pay", '{ name = "GET /pay" }'),
        ("sta│", "status", "{ status "),
        ("status = e│", "error", "{ status = error "),
        ("│", "name", "{ name "),
    ],
)
async def test_what_is_chosen_makes_a_text_to_go_on_with(
    filled: httpx.AsyncClient, drawn: str, label: str, text: str
) -> None:
    answer = await ask(filled, drawn)
    if text:
        assert chosen(drawn, answer, label) == text
    else:
        assert label not in labels(answer)


@pytest.mark.parametrize(
    ("drawn", "first"),
    [
        ("{ │", ["name", "duration", "status", "kind", "resource.service.name", "span.http.route", "span.code"]),
        ("{ span.│", ["span.http.route", "span.code"]),
        ("{ name = │", ["GET /pay", "GET /cart", 'say "hi"']),
        ("{ span.code = │", ["500", "200"]),
        ("{ span.code = 20│", ["200"]),
        ("{ status = │", ["error", "ok", "unset"]),
        ("{ s│", ["status", "resource.service.name", "span.http.route"]),
    ],
)
async def test_the_commonest_of_what_begins_as_typed_is_first(
    filled: httpx.AsyncClient, drawn: str, first: list[str]
) -> None:
    assert labels(await ask(filled, drawn))[: len(first)] == first


async def test_items_say_what_they_are_and_how_common(filled: httpx.AsyncClient) -> None:
    items = (await ask(filled, "{ span.http.rou│"))["items"]
    assert items == [
        {"label": "span.http.route", "insert": "span.http.route ", "kind": "key", "detail": "span", "count": 3}
    ]
    answer = await ask(filled, "{ name = GET│")
    assert [(item["kind"], item["count"]) for item in answer["items"]] == [("value", 2), ("value", 1)]


async def test_values_are_those_that_the_rest_of_the_filter_finds(filled: httpx.AsyncClient) -> None:
    assert labels(await ask(filled, "{ span.code = 500 && name = │ }"))[:2] == ["GET /pay", 'say "hi"']
    assert labels(await ask(filled, "{ span.code = 200 && name = │ }"))[:1] == ["GET /cart"]
    assert "event.attempt" not in labels(await ask(filled, "{ kind = server && event.│"))


async def test_at_most_fifty_items_are_offered(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span(f"step {n}") for n in range(60)])
    assert len((await ask(client, "{ name = │"))["items"]) == 50


async def test_the_time_of_the_search_limits_what_is_offered(filled: httpx.AsyncClient) -> None:
    assert labels(await ask(filled, "{ name = │"))
    assert "GET /pay" not in labels(await ask(filled, "{ name = │", since="1h"))
    assert "GET /pay" not in labels(await ask(filled, "{ name = │", **{"from": "2024-01-01T00:00"}))
    assert "GET /pay" in labels(await ask(filled, "{ name = │", **{"from": "2023-01-01T00:00"}))


@pytest.mark.parametrize(
    ("drawn", "message"),
    [
        ("{ name = │", None),
        ("{ na│", None),
        ("{ foo│", None),
        ("{ foo │", "unknown word foo"),
        ("{ foo = 1 && na│", "unknown word foo"),
        ("{ foo = 1 && │status = error }", "unknown word foo"),
        ("{ name = │ && status = error }", None),
        ("{ name > 5 }│", "name is text"),
        ("{ name > 5│ }", None),
        ("{ │name > ", "expected a value"),
        ("{ } | cuo│", None),
        ("{ } | cuont() > │", "no function cuont"),
        ("{ status = error }│", None),
        ("card declined│", None),
        ("│", None),
    ],
)
async def test_what_cannot_be_read_is_said_unless_it_is_being_typed(
    filled: httpx.AsyncClient, drawn: str, message: str | None
) -> None:
    found = (await ask(filled, drawn))["diagnostic"]
    assert found["message"].startswith(message) if message else found is None


async def test_a_diagnostic_names_its_place_and_draws_it(filled: httpx.AsyncClient) -> None:
    assert (await ask(filled, "{ foo = 1 }│"))["diagnostic"] == {
        "message": "unknown word foo: attributes start with a dot: write .foo or span.foo",
        "from": 2,
        "to": 5,
        "drawing": "  { foo = 1 }\n    ^^^",
    }


@pytest.mark.parametrize("text", ["{" * 15_000, '{ .a = "' + "x" * 15_000, "a" * 15_000, "{ .a = 1 && " * 1000])
async def test_a_long_text_is_answered_soon(filled: httpx.AsyncClient, text: str) -> None:
    began = time.perf_counter()
    await ask(filled, f"{text}│")
    assert time.perf_counter() - began < 2


async def test_a_place_that_is_no_number_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get("/_/complete", params={"q": "{", "pos": "x"})).status_code == 400


async def test_what_was_counted_serves_the_next_letters(
    filled: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert labels(await ask(filled, "{ name = GET│"))
    await store.add([span("GET /new")])
    assert "GET /new" not in labels(await ask(filled, '{ name = "GET /│'))
    monkeypatch.setattr(choices, "FRESH_S", 0.0)
    assert "GET /new" in labels(await ask(filled, '{ name = "GET /n│'))


async def test_counting_ends_with_the_application(store: Store) -> None:
    await store.add(shop())
    app = create_app(Config(), store=store)._app
    kept: Choices = app.state.choices  # type: ignore[attr-defined]
    async with app.router.lifespan_context(app):  # type: ignore[attr-defined]
        assert await kept.keys(store, Among())
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "minitrace choices"]


async def test_what_cannot_be_printed_is_spelt_out_in_a_label(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("a\u202eb")])
    item = (await ask(client, "{ name = a│"))["items"][0]
    assert item["label"] == "a\\u202eb"
