"""Keys, values and their counts."""

from __future__ import annotations

import re

from minitrace.model import Event, Resource
from minitrace.store import segment
from minitrace.store.conditions import Filter
from minitrace.store.dictionary import Attribute, AttributeKey, ValueCount
from minitrace.store.store import Store
from tests.samples import T0, span


async def fill(store: Store) -> None:
    """Five spans in two segments."""
    await store.add([span("a", attributes={"code": 200}), span("b", attributes={"code": 500, "x": "1"})])
    await store._in_writer(store._filling.next_segment)
    await store.add([span("c", attributes={"code": 200}), span("d", attributes={"code": "200"})])
    await store.add([span("e", attributes={"code": 200}, events=[Event(T0, "retry", {"code": 1})])])


async def test_keys_are_told_apart_by_scope_and_type(store: Store) -> None:
    await fill(store)
    found = [key for key in await store.attribute_keys() if key.scope != "intrinsic"]
    assert found == [
        AttributeKey("event", "code", "int", 1),
        AttributeKey("resource", "service.name", "string", 1),
        AttributeKey("span", "code", "int", 2),
        AttributeKey("span", "code", "string", 1),
        AttributeKey("span", "x", "string", 1),
    ]


async def test_values_of_all_segments_are_counted_the_commonest_first(store: Store) -> None:
    await fill(store)
    assert await store.attribute_values("span", "code") == [
        ValueCount(200, 3), ValueCount(500, 1), ValueCount("200", 1),
    ]  # fmt: skip
    assert await store.attribute_values("span", "code", limit=1) == [ValueCount(200, 3)]
    assert await store.attribute_values("event", "code") == [ValueCount(1, 1)]
    assert await store.attribute_values("span", "none") == []


async def test_values_of_resources_are_counted_by_spans_too(store: Store) -> None:
    await store.add([span("a", service="shop"), span("b", service="shop"), span("c", service="pay")])
    assert await store.attribute_values("resource", "service.name") == [ValueCount("shop", 2), ValueCount("pay", 1)]


async def test_a_predicate_sees_each_distinct_string_once(store: Store) -> None:
    seen: list[str] = []

    def fits(text: str) -> bool:
        seen.append(text)
        return bool(re.fullmatch("a.*", text))

    await store.add([span(f"s{n}", attributes={"k": "abc" if n % 2 else "xyz"}) for n in range(10)])
    found = await store.search(Filter(attributes=(Attribute("k", "fits", fits),)))
    assert (found.matches[0].matched, sorted(seen)) == (5, ["abc", "xyz"])


async def test_a_value_beyond_what_is_indexed_is_stored_whole_and_found_by_its_beginning_and_as_a_whole(
    store: Store,
) -> None:
    text = "early " + "x " * segment.MAX_INDEXED + "late"
    await store.add([span("long", attributes={"k": text})])
    found = {word: len((await store.search(Filter(text=word))).matches) for word in ("early", "late")}
    assert found == {"early": 1, "late": 0}
    for operator, value in (("=", text), ("contains", "late")):
        assert (await store.search(Filter(attributes=(Attribute("k", operator, value),)))).matches  # type: ignore[arg-type]
    trace = await store.trace(span("long").trace_id)
    assert trace.spans[0].attributes["k"] == text


async def test_a_long_value_that_repeats_is_kept_once(store: Store) -> None:
    prompt = "You are a helpful assistant. " * 500
    await store.add([span(f"s{n}", attributes={"prompt": prompt}) for n in range(20)])
    assert await store.attribute_values("span", "prompt") == [ValueCount(prompt, 20)]
    (key,) = [key for key in await store.attribute_keys() if key.name == "prompt"]
    assert key.value_count == 1


async def test_resources_of_one_service_are_all_found_by_it(store: Store) -> None:
    for host in ("h1", "h2"):
        await store.add(
            [span(f"on {host}", trace=host, resource=Resource({"service.name": "shop", "host.name": host}))]
        )
    assert len((await store.search(Filter(service="shop"))).matches) == 2
    found = await store.search(Filter(service="shop", attributes=(Attribute("host.name", "=", "h2", "resource"),)))
    assert [match.summary.root_name for match in found.matches] == ["on h2"]
