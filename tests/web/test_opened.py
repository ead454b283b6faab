"""Traces that were opened lately, and what is said above them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from minitrace.model import Kind, Resource, Span, Status, StatusCode, Trace
from minitrace.store.store import Store
from minitrace.web import opened
from minitrace.web.opened import Opened, OpenedTraces, is_whole, notes
from tests.samples import MS, T0, TRACE, span, span_id, trace_id


async def open_(traces: OpenedTraces, store: Store, trace: bytes = TRACE) -> Opened:
    return await traces.open(store, await store.summary(trace))


async def test_a_trace_is_opened_once_until_a_span_arrives(store: Store) -> None:
    traces = OpenedTraces()
    await store.add([span("root")])
    first = await open_(traces, store)
    assert await open_(traces, store) is first
    await store.add([span("child", "root")])
    second = await open_(traces, store)
    assert (len(first.rows), len(second.rows)) == (1, 2)


async def test_with_and_without_runs_are_two(store: Store) -> None:
    traces = OpenedTraces()
    await store.add([span("root"), *(span("query", "root", id=str(n)) for n in range(5))])
    summary = await store.summary(TRACE)
    grouped, plain = await traces.open(store, summary), await traces.open(store, summary, has_runs=False)
    assert (len(grouped.rows), len(plain.rows)) == (7, 6)


async def test_only_so_many_rows_are_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "MAX_KEPT_ROWS", 3)
    traces = OpenedTraces()
    await store.add([span("a", trace="a"), span("b", "a", trace="a"), span("c", trace="c"), span("d", "c", trace="c")])
    first = await open_(traces, store, trace_id("a"))
    await open_(traces, store, trace_id("c"))
    assert await open_(traces, store, trace_id("a")) is not first


async def test_the_only_trace_is_kept_however_large(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "MAX_KEPT_ROWS", 0)
    traces = OpenedTraces()
    await store.add([span("root")])
    assert await open_(traces, store) is await open_(traces, store)


async def test_who_asks_for_the_same_meanwhile_gets_the_same(store: Store) -> None:
    traces = OpenedTraces()
    await store.add([span("root")])
    first, second = await asyncio.gather(open_(traces, store), open_(traces, store))
    assert first is second


async def test_a_trace_that_lost_spans_and_got_as_many_is_opened_again(store: Store) -> None:
    traces = OpenedTraces()
    await store.add([span("root")])
    summary = await store.summary(TRACE)
    first = await traces.open(store, summary)
    assert await traces.open(store, replace(summary, removed_count=1)) is not first


async def test_times_are_adjusted_or_as_they_were_sent(store: Store) -> None:
    traces, host = OpenedTraces(), Resource({"service.name": "bank"})
    call = span("call", duration_ms=100, kind=Kind.CLIENT)
    serve = span("serve", "call", start_ms=500, duration_ms=50, kind=Kind.SERVER, resource=host)
    await store.add([call, serve, replace(serve, span_id=span_id("again"))])
    summary = await store.summary(TRACE)
    adjusted, raw = await traces.open(store, summary), await traces.open(store, summary, is_adjusted=False)
    assert (list(adjusted.rows.begin), list(raw.rows.begin)) == ([0, 25 * MS, 25 * MS], [0, 500 * MS, 500 * MS])
    assert (adjusted.headline.shifted, raw.headline.shifted) == (1, 0)


@pytest.mark.parametrize(("most", "more"), [(1, {0: {"pill": "503"}}), (0, {})])
async def test_only_a_trace_that_is_not_too_large_shows_what_its_attributes_say(
    store: Store, monkeypatch: pytest.MonkeyPatch, most: int, more: dict[int, dict[str, str]]
) -> None:
    monkeypatch.setattr(opened, "MAX_WITH_ATTRIBUTES", most)
    await store.add([span("root", attributes={"http.response.status_code": 503})])
    assert (await open_(OpenedTraces(), store)).rows.more == more


async def test_services_are_counted_by_spans(store: Store) -> None:
    await store.add([span("root"), *(span("query", "root", id=str(n), service="db") for n in range(5))])
    assert (await open_(OpenedTraces(), store)).headline.services == {"shop": 1, "db": 5}


async def test_only_so_many_traces_are_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "MAX_KEPT", 2)
    traces = OpenedTraces()
    await store.add([span("a", trace="a"), span("b", trace="b"), span("c", trace="c")])
    a, b, _ = [await open_(traces, store, trace_id(name)) for name in "abc"]
    assert await open_(traces, store, trace_id("b")) is b
    assert await open_(traces, store, trace_id("a")) is not a


@pytest.mark.parametrize("is_new", [False, True])
async def test_what_was_opened_least_lately_leaves(store: Store, monkeypatch: pytest.MonkeyPatch, is_new: bool) -> None:
    monkeypatch.setattr(opened, "MAX_KEPT", 2)
    traces = OpenedTraces()
    await store.add([span("a", trace="a"), span("b", trace="b"), span("c", trace="c")])
    _, b = await open_(traces, store, trace_id("a")), await open_(traces, store, trace_id("b"))
    await store.add([span("late", "a", trace="a")] if is_new else [])
    a = await open_(traces, store, trace_id("a"))
    await open_(traces, store, trace_id("c"))
    assert await open_(traces, store, trace_id("a")) is a
    assert await open_(traces, store, trace_id("b")) is not b


async def test_the_headline_says_what_the_trace_is(store: Store) -> None:
    bad = Status(StatusCode.ERROR)
    spans = [span("root", service="web"), span("a", "root", service="pay", status=bad), span("b", "a", status=bad)]
    await store.add(spans)
    headline = (await open_(OpenedTraces(), store)).headline
    assert (headline.root, headline.deepest, headline.is_whole) == (("web", "root"), 3, True)
    assert dict(headline.services) == {"web": 1, "pay": 1, "shop": 1}
    error = next(part for part in headline.verdict if part.kind == "error")
    assert (error.text, error.span_id) == ("1 error, seen in 2 spans", span_id("b"))


@pytest.mark.parametrize(
    ("spans", "said"),
    [
        ([span("root"), span("child", "root")], []),
        ([span("orphan", "lost"), span("other", "lost")], []),
        ([span("a"), span("b")], ["2 spans are roots."]),
        (
            [span("root"), span("copy", "root", id="x"), span("other", "root", id="x")],
            ["2 spans share their id with another."],
        ),
        (
            [span("root"), span("a", "root", id="x"), span("b", "root", id="x"), span("c", "root", id="x")],
            ["3 spans share their id with another."],
        ),
        ([span("root", end_ns=T0 - 1), span("a", "root", end_ns=T0 - 1)], ["2 spans have odd times."]),
        ([span("root", end_ns=T0 - 1)], ["1 span has odd times."]),
        ([span("root"), span("never", "root", start_ns=0)], ["1 span has odd times."]),
    ],
)
def test_what_is_odd_about_a_trace_is_said(spans: list[Span], said: list[str]) -> None:
    assert notes(Trace(TRACE, spans)) == said


@pytest.mark.parametrize(
    ("removed", "said"),
    [
        (1, "1 span of this trace was removed to make room; pin a trace to keep it."),
        (2, "2 spans of this trace were removed to make room; pin a trace to keep it."),
    ],
)
def test_spans_that_were_removed_are_counted(removed: int, said: str) -> None:
    notes_ = notes(Trace(TRACE, [span("root")], removed_count=removed))
    assert [note.replace("\u2009", " ") for note in notes_] == [said]


@pytest.mark.parametrize(
    ("spans", "whole"),
    [
        ([span("root"), span("child", "root")], True),
        ([span("root"), span("child", "lost")], False),
        ([span("a", "b"), span("b", "a")], False),
    ],
)
def test_a_trace_is_whole_with_a_root_and_every_parent(spans: list[Span], whole: bool) -> None:
    assert is_whole(Trace(TRACE, spans)) is whole
