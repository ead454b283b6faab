"""Traces that were opened lately, and what is said above them."""

from __future__ import annotations

import pytest

from minitrace.model import Span, Status, StatusCode, Trace
from minitrace.store.store import Store
from minitrace.web import opened
from minitrace.web.opened import Opened, OpenedTraces, notes
from tests.samples import T0, TRACE, span, span_id, trace_id


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
        ([span("root", end_ns=T0 - 1)], ["1 span has odd times."]),
        ([span("root"), span("never", "root", start_ns=0)], ["1 span has odd times."]),
    ],
)
def test_what_is_odd_about_a_trace_is_said(spans: list[Span], said: list[str]) -> None:
    assert notes(Trace(TRACE, spans)) == said
