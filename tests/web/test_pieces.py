"""JSON in pieces is the JSON of the whole, and of all traces or says which are missing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from minitrace.errors import QueryTimeout
from minitrace.model import Span
from minitrace.store.database import READERS
from minitrace.store.store import Store
from minitrace.web import pieces
from tests.samples import span, trace_id

VALUES = some.recursive(
    some.none() | some.integers() | some.text(some.characters(exclude_categories=["Cs"])),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text("ab", max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(some.lists(some.lists(VALUES, min_size=1, max_size=4), max_size=5))
def test_items_cut_anywhere_are_one_list(groups: list[list[object]]) -> None:
    texts = (",".join(map(pieces.dump, group)) for group in groups)
    answer = "".join(pieces.enclosed('{"a":', pieces.listed(texts), "}"))
    assert json.loads(answer) == {"a": [item for group in groups for item in group]}


def names(spans: Sequence[Span]) -> Iterable[str]:
    return (span.name for span in spans)


async def test_traces_come_in_the_order_given_without_one_that_was_deleted(store: Store) -> None:
    await store.add([span("a", trace="first"), span("b", trace="second"), span("c", trace="third")])
    await store.delete([trace_id("second")])
    ids = [trace_id(name) for name in ("third", "second", "first")]
    assert [text async for text in pieces.of_traces(store, ids, names)] == ["c", "a"]


async def test_a_trace_that_cannot_be_loaded_in_time_is_no_trace_that_was_deleted(tmp_path: Path) -> None:
    lost: list[bytes] = []
    ids = [trace_id("first")]
    async with await Store.open(tmp_path / "slow.db", query_timeout_s=0.1) as slow, AsyncExitStack() as others:
        await slow.add([span("a", trace="first")])
        for _ in range(READERS):  # others ask something that takes its time
            await others.enter_async_context(slow._readers.reader())
        with pytest.raises(QueryTimeout):
            assert not [text async for text in pieces.of_traces(slow, ids, names)]
        assert not [text async for text in pieces.of_traces(slow, ids, names, lambda id_, _: lost.append(id_))]
    assert lost == ids
