"""Rate, errors and durations: the same as of the spans themselves, whatever became of them."""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minitrace.model import Kind, Span, Status, StatusCode
from minitrace.store import retention, rolling, segment
from minitrace.store.histogram import ERROR
from minitrace.store.ingest import Request, export_of
from minitrace.store.integrity import check
from minitrace.store.red import RedAnswer, RedQuestion, red
from minitrace.store.retention import Limits
from minitrace.store.store import Store
from minitrace.traceql.metrics import Range
from minitrace.traceql.parser import parse
from tests.samples import MS, T0, span, trace_id

S = 1_000_000_000
FROM, TO = T0 - 60 * S, T0 + 120 * S  # T0 is a whole 10 s
SERVER = frozenset({Kind.SERVER})


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store of pieces of four spans."""
    with mock.patch.object(rolling, "SPANS_PER_PIECE", 4):
        async with await Store.open(tmp_path / "test.db") as opened:
            yield opened


def asked(service: str | None = None, operation: str | None = None, step_s: int = 10, **more: Any) -> RedQuestion:
    return RedQuestion(FROM, TO, step_s * S, service, operation, **more)


async def all_spans(store: Store) -> list[Span]:
    place, found = 0, []
    while (after := await store.spans_after(place))[1]:
        place, spans = after
        found += spans
    return found


def about(answer: RedAnswer) -> dict[str | None, tuple[int, int, int, list[int], list[int]]]:
    """What is exact of an answer's series."""
    return {
        one.subject: (
            one.figures.count, one.figures.error_count, one.figures.duration_ns, one.counts, one.error_counts
        )
        for one in answer.series
    }  # fmt: skip


def plain(spans: Iterable[Span], question: RedQuestion, subject: Callable[[Span], str]) -> dict[Any, Any]:
    """The same from the spans."""
    found: dict[Any, list[Any]] = {}
    for one in spans:
        step = (one.start_ns - 1 - question.start_ns) // question.step_ns
        if not 0 <= step < question.step_count or (question.kinds and one.kind not in question.kinds):
            continue
        own = found.setdefault(subject(one), [0, 0, 0, [0] * question.step_count, [0] * question.step_count])
        own[0] += 1
        own[1] += one.is_error
        own[2] += one.duration_ns
        own[3][step] += 1
        own[4][step] += one.is_error
    return {name: tuple(own) for name, own in found.items()}


async def by_traceql(store: Store, question: RedQuestion, by: str, condition: str = "") -> dict[str, list[int]]:
    """Counts by step of what TraceQL's metrics find."""
    query = parse(f"{{ {condition} }} | count_over_time() by({by})")
    range = Range(question.start_ns + question.step_ns, question.end_ns, question.step_ns)
    found = await store.metrics(query, range)
    return {str(one.labels[0][1]): [int(n or 0) for n in one.samples] for one in found.series if any(one.samples)}


async def rolled(store: Store) -> list[int]:
    """The first spans of the pieces that have a roll-up."""
    sql = "SELECT DISTINCT first_span FROM red ORDER BY first_span"
    return await store._writing.run(lambda: [row[0] for row in store._writer.connection.execute(sql)])


def a_span(n: int, **fields: Any) -> Span:
    return span(f"s{n}", trace=f"t{n}", kind=Kind.SERVER, **fields)


# Figures


async def test_services_come_by_the_time_they_took(store: Store) -> None:
    await store.add([a_span(1, service="shop", duration_ms=5), a_span(2, service="pay", duration_ms=50)])
    answer = await store.red(asked())
    assert [(one.subject, one.figures.duration_ns) for one in answer.series] == [("pay", 50 * MS), ("shop", 5 * MS)]


async def test_the_slowest_span_of_each_step_is_known(store: Store) -> None:
    await store.add([a_span(n, start_ms=n * 1000, duration_ms=40 - n) for n in (1, 2, 3, 25)])
    (series,) = (await store.red(asked())).series
    assert [(step, round(ns / MS)) for step, ns in enumerate(series.slowest_ns) if ns] == [(6, 39), (8, 15)]


async def test_a_service_is_told_by_its_operations(store: Store) -> None:
    await store.add([a_span(1), a_span(2), span("other", service="pay")])
    assert {one.subject for one in (await store.red(asked("shop"))).series} == {"s1", "s2"}


async def test_an_operation_is_told_alone(store: Store) -> None:
    await store.add([a_span(1), a_span(2), a_span(3)])
    answer = await store.red(asked("shop", "s2"))
    assert [one.subject for one in answer.series] == ["s2"]
    assert answer.figures.count == 1


async def test_kinds_that_are_not_asked_for_do_not_count(store: Store) -> None:
    await store.add([a_span(1), span("inner", kind=Kind.INTERNAL)])
    assert (await store.red(asked("shop", kinds=SERVER))).figures.count == 1
    assert (await store.red(asked("shop"))).figures.count == 2


async def test_a_kind_that_nobody_knows_is_unspecified(store: Store) -> None:
    await store.add([span("odd", kind=17)])
    assert (await store.red(asked(kinds=frozenset({Kind.UNSPECIFIED})))).figures.count == 1


async def test_a_service_that_is_not_stored_has_no_figures(store: Store) -> None:
    await store.add([a_span(1)])
    answer = await store.red(asked("nobody"))
    assert (answer.series, answer.figures.count, answer.complete) == ([], 0, True)


async def test_a_step_has_its_right_edge(store: Store) -> None:
    await store.add([a_span(1, start_ms=0), a_span(2, start_ms=0.000001), a_span(3, start_ms=10_000)])
    counts = [step.count for step in (await store.red(asked())).steps]
    assert counts[5:8] == [1, 2, 0]


async def test_a_span_without_a_time_counts_nowhere(store: Store) -> None:
    await store.add([a_span(1, start_ns=0, end_ns=0), a_span(2)])
    assert (await store.red(RedQuestion(0, 2 * T0, T0, "shop"))).figures.count == 1


async def test_steps_are_whole_buckets(store: Store) -> None:
    question = RedQuestion(T0 + 1, T0 + 61 * S, 15 * S)
    assert (question.step_ns, question.start_ns, question.end_ns) == (20 * S, T0, T0 + 80 * S)


def test_a_question_of_too_many_steps_says_so() -> None:
    with pytest.raises(ValueError, match="8640 steps are more than 1000"):
        RedQuestion(T0, T0 + 86_400 * S, 10 * S)


async def test_the_range_before_is_as_long(store: Store) -> None:
    await store.add([a_span(n, start_ms=1000 * second) for n, second in enumerate([5, 25, 29, -5, -35])])
    answer = await store.red(RedQuestion(T0, T0 + 30 * S, 10 * S, is_compared=True))
    assert answer.figures.count == 3
    assert [figures.count for figures in (answer.before, answer.series[0].before) if figures] == [1, 1]


# Exemplars


async def test_the_slowest_of_each_step_is_remembered_and_the_slowest_failure(store: Store) -> None:
    failed = Status(StatusCode.ERROR)
    sent = [
        a_span(1, duration_ms=30),
        a_span(2, duration_ms=40),
        a_span(3, duration_ms=10, status=failed),
        a_span(4, duration_ms=20, status=failed),
        a_span(5, duration_ms=1),
        a_span(6, duration_ms=2, start_ms=20_000),
    ]
    await store.add(sent)
    found = (await store.red(asked("shop"))).exemplars
    assert {(one.trace_id, one.subject, one.is_error) for one in found} == {
        (trace_id("t2"), "s2", False),
        (trace_id("t4"), "s4", True),
        (trace_id("t6"), "s6", False),
    }
    assert {one.span_id for one in found} == {one.span_id for one in (sent[1], sent[3], sent[5])}


async def test_an_exemplar_that_was_deleted_gives_way_to_the_next(store: Store) -> None:
    await store.add([a_span(n, duration_ms=n) for n in range(1, 9)])
    await store.delete([trace_id("t8"), trace_id("t4")])
    assert [one.subject for one in (await store.red(asked("shop"))).exemplars] == ["s7"]


# Roll-ups


async def test_a_piece_is_rolled_up_when_it_is_full(store: Store) -> None:
    await store.add([a_span(n) for n in range(7)])
    answer = await store.red(asked())
    assert (answer.figures.count, answer.counted) == (7, 3)


async def test_pieces_without_a_roll_up_get_theirs(store: Store) -> None:
    await store.add([a_span(n) for n in range(8)])
    async with store._upkeep.lock:  # or it rolls them up before we look
        await store._writing.change(lambda connection: connection.execute("DELETE FROM red"))
        assert (await store.red(asked())).counted == 8
    await store.roll_up()
    answer = await store.red(asked())
    assert (answer.figures.count, answer.counted) == (8, 0)


async def test_a_piece_that_lost_spans_is_rolled_up_again(store: Store) -> None:
    await store.add([a_span(n) for n in range(8)])
    await store.delete([trace_id("t1")])
    await store.roll_up()
    answer = await store.red(asked())
    assert (answer.figures.count, answer.counted) == (7, 0)


async def test_nothing_is_left_of_segments_that_left(tmp_path: Path) -> None:
    with mock.patch.object(rolling, "SPANS_PER_PIECE", 4):
        async with await Store.open(tmp_path / "a.db", limits=Limits(max_spans=160)) as store:
            for n in range(40):
                await store.add([a_span(m) for m in range(10 * n, 10 * n + 10)])
            await store.keep_within_limits()
            await store.roll_up()
            first = min(leaving.first_span for leaving in await store._writing.run(store._retention.all))
            assert min(await rolled(store)) == first > 200


async def test_nothing_is_left_of_a_piece_that_was_empty_when_its_segment_left(store: Store) -> None:
    await store.add([a_span(n) for n in range(8)])
    await store.delete([trace_id(f"t{n}") for n in range(4)])
    await store.roll_up()
    await store.clear()
    assert await rolled(store) == []


async def test_a_segment_that_leaves_has_the_spans_that_are_left_of_it(store: Store) -> None:
    await store.add([a_span(n) for n in range(8)])
    async with store._upkeep.lock:
        await store._writing.run(store._filling.next_segment)
        (leaving,) = await store._writing.run(store._retention.all)
        with mock.patch.object(retention, "SPANS_PER_STEP", 2):
            await store._writing.run(store._retention.step, leaving)
        assert (await store.red(asked())).figures.count == 6


async def test_a_span_that_takes_the_place_of_another_counts_once(store: Store) -> None:
    await store.add([a_span(n) for n in range(4)])
    await store._writing.add(Request(lambda: export_of([a_span(9)]), replaces=[2]))
    assert {one.subject for one in (await store.red(asked("shop"))).series} == {"s0", "s2", "s3", "s9"}


async def test_services_beyond_the_first_are_counted_together(store: Store) -> None:
    with mock.patch.object(rolling, "MAX_SERVICES", 2):
        await store.add([a_span(n, service=f"service {n}") for n in range(8)])
        answer = await store.red(asked())
    assert [one.subject for one in answer.series if one.subject] == ["service 0", "service 1"]
    assert (answer.others, answer.figures.count) == (6, 8)


async def test_operations_beyond_the_first_are_counted_together(store: Store) -> None:
    with mock.patch.object(rolling, "MAX_NAMES", 3):
        await store.add([a_span(n) for n in range(8)])
        answer = await store.red(asked("shop"))
        one = await store.red(asked("shop", "s7"))
    assert {one.subject: one.figures.count for one in answer.series} == {"s0": 1, "s1": 1, "s2": 1, None: 5}
    assert (answer.others, one.others, one.figures.count) == (5, 5, 0)


async def test_what_the_deadline_left_out_is_said(store: Store) -> None:
    await store.add([a_span(n) for n in range(8)])
    async with store._readers.snapshot() as reader:
        reader.deadline = 0
        answer = await red(reader, asked())
    assert not answer.complete
    assert "took too long" in answer.reason


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM red WHERE service = -1 AND step_s = 60",
        "UPDATE red SET cells = x''",
        "UPDATE red SET cells = 'none'",
        "UPDATE red SET cells = substr(cells, 1, length(cells) - 3)",
        "UPDATE red SET cells = (SELECT cells FROM red AS other WHERE other.first_span != red.first_span LIMIT 1)",
    ],
)
async def test_a_check_of_the_file_finds_a_roll_up_that_is_wrong(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.db"
    with mock.patch.object(rolling, "SPANS_PER_PIECE", 4):
        async with await Store.open(path) as store:
            await store.add([a_span(n, duration_ms=2**n) for n in range(8)])
        assert check(path).problems == []
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(damage)
        assert check(path).problems == [
            "rate, errors and durations of the spans from 1 to 4 are wrong",
            "rate, errors and durations of the spans from 5 to 8 are wrong",
        ]


# The same as of the spans

SENT = st.tuples(
    st.integers(0, 5),  # trace
    st.sampled_from(["shop", "pay"]),
    st.sampled_from(["get", "put", "list"]),
    st.sampled_from(list(Kind)),
    st.sampled_from(list(StatusCode)),
    st.integers(-70_000, 130_000),  # start, in ms
    st.sampled_from([0, 0.000001, 3, 3.1, 500, 10**9]),
)


def sent_spans(drawn: Sequence[tuple[Any, ...]]) -> list[Span]:
    return [
        span(
            name, trace=f"t{trace}", id=f"{n}", service=service, kind=kind, status=Status(status), start_ms=start,
            duration_ms=duration,
        )
        for n, (trace, service, name, kind, status, start, duration) in enumerate(drawn)
    ]  # fmt: skip


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_figures_are_those_of_the_spans_whatever_became_of_them(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Late, repeated, deleted, pinned and moved, taken by retention: in any order, rolled up or not."""
    sent = sent_spans(data.draw(st.lists(SENT, min_size=1, max_size=60)))
    requests = data.draw(st.lists(st.lists(st.sampled_from(sent), max_size=12), max_size=12))
    acts = data.draw(st.lists(st.sampled_from(["delete", "pin", "roll up", "keep"]), max_size=6))
    keep, values = data.draw(st.sampled_from([20, 1_000])), data.draw(st.sampled_from([3, 1_000]))
    step_s, kinds = data.draw(st.sampled_from([10, 20, 60])), data.draw(st.sampled_from([frozenset(), SERVER]))

    async def run() -> None:
        async with await Store.open(tmp_path_factory.mktemp("r") / "a.db", limits=Limits(max_spans=keep)) as store:
            for n, request in enumerate([*requests, sent]):
                await store.add(request)
                if n < len(acts):
                    await act(store, acts[n], n)
            async with store._upkeep.lock:  # what is too much leaves by itself, but not between two questions
                await agrees(store, asked(step_s=step_s, kinds=kinds))

    with mock.patch.object(rolling, "SPANS_PER_PIECE", 4), mock.patch.object(segment, "MAX_VALUES", values):
        asyncio.run(run())


async def act(store: Store, what: str, number: int) -> None:
    traces = await store.known([trace_id(f"t{number % 6}"), trace_id(f"t{number % 4}")])
    if what == "delete":
        await store.delete(traces)
    elif what == "pin":
        for trace in traces:
            await store.pin(trace)
    elif what == "roll up":
        await store.roll_up()
    else:
        await store.keep_within_limits()


async def agrees(store: Store, question: RedQuestion) -> None:
    """Compare with the spans that are stored, and with TraceQL's metrics over them."""
    spans = await all_spans(store)
    condition = "kind = server" if question.kinds else ""
    answer = await store.red(question)
    assert about(answer) == plain(spans, question, lambda one: one.service)
    found = {name: own[3] for name, own in about(answer).items()}
    assert found == await by_traceql(store, question, "resource.service.name", condition)
    for service in ("shop", "pay"):
        own = await store.red(asked(service, step_s=question.step_ns // S, kinds=question.kinds))
        of_service = [one for one in spans if one.service == service]
        assert about(own) == plain(of_service, question, lambda one: one.name)
        agree_about_quantiles(own, of_service)
        of_all = [one.figures for one in answer.series if one.subject == service]
        assert of_all == ([own.figures] if own.figures.count else [])
        condition_ = f'resource.service.name = "{service}"' + (f" && {condition}" if condition else "")
        assert {one.subject: one.counts for one in own.series} == await by_traceql(store, question, "name", condition_)


def agree_about_quantiles(answer: RedAnswer, spans: Sequence[Span]) -> None:
    question = answer.question
    durations = sorted(
        one.duration_ns
        for one in spans
        if question.start_ns < one.start_ns <= question.end_ns and (not question.kinds or one.kind in question.kinds)
    )
    for share in (0.5, 0.95, 0.99) if durations else ():
        exact = durations[math.ceil(share * len(durations)) - 1]
        assert answer.figures.histogram.quantile(share) == pytest.approx(exact, rel=ERROR * 1.001)
    assert Counter(answer.figures.histogram.counts) == sum(
        (Counter(step.histogram.counts) for step in answer.steps), Counter()
    )
