"""What a search finds, by root operation."""

from __future__ import annotations

import pytest

from minitrace.model import Status, StatusCode
from minitrace.store import groups, matching
from minitrace.store.groups import Group
from minitrace.store.store import Store
from tests.samples import MS, T0, span, trace_id
from tests.store import finding, sweep
from tests.store.asking import wanted


async def test_groups_have_the_figures_of_the_traces_in_them(store: Store) -> None:
    failed = Status(StatusCode.ERROR)
    await store.add([
        *(span("get", trace=f"{n}", start_ms=n, duration_ms=n + 1) for n in range(19)),
        span("get", trace="19", start_ms=19, duration_ms=20, status=failed),
        span("child", "missing", trace="orphan", start_ms=50, duration_ms=5),
    ])  # fmt: skip
    found = await store.groups(wanted())
    assert found.rows == [
        Group("shop", "get", 20, 1, 10 * MS, 19 * MS, 20 * MS, trace_id("19"), T0 + 19 * MS),
        Group(None, None, 1, 0, 5 * MS, 5 * MS, 5 * MS, trace_id("orphan"), T0 + 50 * MS),
    ]
    assert found.complete


async def test_only_traces_that_match_are_grouped(store: Store) -> None:
    await store.add([span(name, trace=f"{name}{n}", duration_ms=n) for name in "ab" for n in range(4)])
    found = await store.groups(wanted("{ duration > 1ms && name = `b` }"))
    assert [(one.name, one.trace_count) for one in found.rows] == [("b", 2)]


async def test_no_more_groups_than_a_page_can_show(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MOST_GROUPS", 2)
    await store.add([span(name, trace=f"{n}") for n, name in enumerate("abbbcc")])
    assert [one.name for one in (await store.groups(wanted())).rows] == ["b", "c"]


async def test_every_kind_of_query_has_the_groups_that_counting_gives(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching, "EVALUATED_S", 60)
    spans = sweep.many_spans()
    for item in spans:
        await store.add([item])
    known = await finding.summaries(store)
    searches = [wanted(query) for query in sweep.QUERIES[::15]]
    wrong = [
        str(search.pipeline)
        for search in searches
        if finding.groups(await store.groups(search)) != finding.Found(search, spans, known).groups()
    ]
    assert not wrong


async def test_of_traces_that_are_equally_long_the_newest_is_named(store: Store) -> None:
    await store.add([span("get", trace=f"{n}", start_ms=n, duration_ms=7) for n in (1, 3, 2)])
    (group,) = (await store.groups(wanted())).rows
    assert group.longest_trace_id == trace_id("3")
