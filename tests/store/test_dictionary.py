"""Keys, values, and which of them fit a condition."""

from __future__ import annotations

from minitrace.model import Event, Resource
from minitrace.store import segment
from minitrace.store.dictionary import AttributeKey
from minitrace.store.store import Store
from tests.samples import T0, span
from tests.store.asking import wanted


async def fill(store: Store) -> None:
    """Five spans in two segments."""
    await store.add([span("a", attributes={"code": 200}), span("b", attributes={"code": 500, "x": "1"})])
    await store._writing.run(store._filling.next_segment)
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


async def test_a_value_beyond_what_is_indexed_is_stored_whole_and_found_by_its_beginning_and_as_a_whole(
    store: Store,
) -> None:
    text = "early " + "x " * segment.MAX_INDEXED + "late"
    await store.add([span("long", attributes={"k": text})])
    found = {word: len((await store.search(wanted(words=word))).matches) for word in ("early", "late")}
    assert found == {"early": 1, "late": 0}
    for condition in (f'.k = "{text}"', '.k =~ ".*late"'):
        assert (await store.search(wanted(f"{{ {condition} }}"))).matches
    trace = await store.trace(span("long").trace_id)
    assert trace.spans[0].attributes["k"] == text


async def test_a_long_value_that_repeats_is_kept_once(store: Store) -> None:
    prompt = "You are a helpful assistant. " * 500
    await store.add([span(f"s{n}", attributes={"prompt": prompt}) for n in range(20)])
    (key,) = [key for key in await store.attribute_keys() if key.name == "prompt"]
    assert key.value_count == 1


async def test_resources_of_one_service_are_all_found_by_it(store: Store) -> None:
    for host in ("h1", "h2"):
        await store.add(
            [span(f"on {host}", trace=host, resource=Resource({"service.name": "shop", "host.name": host}))]
        )
    assert len((await store.search(wanted('{ resource.service.name = "shop" }'))).matches) == 2
    found = await store.search(wanted('{ resource.service.name = "shop" && resource.host.name = "h2" }'))
    assert [match.summary.root_name for match in found.matches] == ["on h2"]
