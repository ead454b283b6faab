"""The text of a forest does not depend on what differs from run to run."""

from __future__ import annotations

import asyncio
import itertools
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider

from minitrace.model import Span, Trace
from minitrace.testing import capture, providers
from minitrace.testing.shapes.outline import Block, in_order, outline
from tests.samples import TRACE, span
from tests.testing.forests import trace

PIPELINE = """
pipeline   0-100  doc.id=doc-1
  fetch    1-5
  parse    6-10
  embed    11-30
  embed    12-20
  embed    13-40
  embed    14-25
  index    50-60
"""


def test_concurrent_siblings_alike_are_one_line() -> None:
    assert (
        outline([trace(PIPELINE)], attrs=["doc.id"])
        == """\
pipeline doc.id=doc-1
  fetch
  parse
  embed x4
  index
"""
    )


def test_siblings_that_follow_on_each_other_are_in_order_of_time() -> None:
    assert outline([trace("a 0-9\n  z 1-2\n  y 2-3\n  z 3-4\n  z 4-5")]) == "a\n  z\n  y\n  z x2\n"


def test_what_runs_beside_a_sequence_does_not_tear_it_apart() -> None:
    drawn = outline([trace("a 0-99\n  heartbeat 1-90\n  fetch 1-9\n  parse 10-19\n  embed 20-29\n  add 91-92")])
    assert drawn == "a\n  fetch\n  heartbeat\n  parse\n  embed\n  add\n"


@pytest.mark.parametrize("times", [(5, 5, 9, 9), (5, 9, 9, 12), (9, 5, 12, 6), (5, 11, 7, 12)])
def test_tasks_of_two_steps_are_the_first_steps_and_the_second(times: tuple[int, int, int, int]) -> None:
    first, second, first_end, second_end = times
    tasks = f"a 0-99\n  parse 1-{first}\n  embed {first}-{first_end}\n  parse 2-{second}\n  embed {second}-{second_end}"
    assert outline([trace(tasks)]) == "a\n  parse x2\n  embed x2\n"


def test_siblings_alike_are_folded_only_where_all_below_is_alike_too() -> None:
    text = "a 0-9\n  job 1-5\n    query 2-3\n  job 1-5\n    query 2-3\n  job 1-5\n    query 2-3  !"
    assert outline([trace(text)]) == "a\n  job x2\n    query\n  job\n    query { status = error }\n"
    assert outline([trace(text)], status=False) == "a\n  job x3\n    query\n"
    lines = outline([trace(text)], status=False, collapse=False).split("\n")
    assert lines == ["a", *["  job", "    query"] * 3, ""]


def test_attributes_stand_in_the_order_in_which_they_were_asked_for() -> None:
    drawn = trace("a  x=1 y=two\n  b  y=3")
    assert (
        outline([drawn], attrs=["y", "x", "service.name"])
        == "a y=two x=1 service.name=shop\n  b y=3 service.name=shop\n"
    )


def test_siblings_with_other_attributes_are_in_the_order_of_those() -> None:
    text = "a 0-9\n  get 1-5 id=3\n  get 2-6 id=1\n  get 3-7 id=2"
    assert outline([trace(text)], attrs=["id"]) == "a\n  get id=1\n  get id=2\n  get id=3\n"


def test_a_service_is_named_where_it_is_another_than_above() -> None:
    spans = [span("a", service="shop"), span("b", "a", service="cart"), span("c", "b", service="cart", start_ms=1)]
    assert outline([Trace(TRACE, spans)], services=True) == "shop: a\n  cart: b\n    c\n"


def test_a_query_shows_what_it_finds_below_what_it_finds() -> None:
    text = "a 0-9\n  b 1-9\n    c 2-3 db=1\n    d 3-9 db=2\n      e 4-5 db=3\n  f 9-9 db=4"
    assert outline([trace(text)], "{ span.db > 0 }") == "c\nd\n  e\nf\n"
    assert outline([trace(text)], "{ name =~ `[abe]` }") == "a\n  b\n    e\n"
    assert outline([trace(text)], "{ name = `g` }") == ""


def test_traces_are_in_order_of_time_unless_they_ran_at_once() -> None:
    one, two, three = trace("z 0-5", name="1"), trace("y 6-9", name="2"), trace("x 7-8", name="3")
    assert outline([three, two, one]) == "z\nx\ny\n"


def test_what_has_no_usable_time_may_have_run_at_any() -> None:
    spans = [span("a"), span("y", "a", start_ms=5), span("z", "a", start_ns=0), span("x", "a", end_ns=2**64 - 1)]
    assert outline([Trace(TRACE, spans)]) == "a\n  x\n  y\n  z\n"


def test_there_may_be_nothing() -> None:
    assert outline([]) == ""


Sibling = tuple[int, int, str]
siblings = st.lists(st.tuples(st.integers(0, 9), st.integers(-1, 4), st.sampled_from("abc")), max_size=8)


def is_before(one: Sibling, other: Sibling) -> bool:
    """Whether one had ended when the other began; a moment is not before itself."""
    (start, length, _), (other_start, other_length, _) = one, other
    if min(length, other_length) < 0:  # it ends before it starts: nobody knows when it was
        return False
    return start + length <= other_start and not other_start + other_length <= start


def oracle(left: list[Sibling]) -> list[str]:
    """The names, from nothing but who was before whom."""
    names: list[str] = []
    while left:
        ready = [one for one in left if not any(is_before(other, one) for other in left)]
        chosen = min(ready, key=lambda one: (one[2] != (names[-1] if names else ""), one[2]))
        left = [one for one in left if one is not chosen]
        names.append(chosen[2])
    return names


@given(siblings)
def test_order_depends_only_on_who_was_before_whom(some: list[Sibling]) -> None:
    some = [(*one[:2], str(one[2])) for one in some]  # each an object of its own
    spans = [span(name, "top", id=str(at), start_ms=start, duration_ms=length) for at, (start, length, name) in
             enumerate(some)]  # fmt: skip
    drawn = outline([Trace(TRACE, [span("top"), *spans])], collapse=False)
    assert drawn.split() == ["top", *oracle(some)]


@given(siblings)
def test_nothing_comes_before_what_was_before_it(some: list[Sibling]) -> None:
    blocks = [
        Block(span(name, id=str(at), start_ms=start, duration_ms=length), name)
        for at, (start, length, name) in enumerate(some)
    ]
    places = {block.span.span_id: at for at, block in enumerate(in_order(blocks))}
    for at, other in itertools.permutations(range(len(some)), 2):
        if is_before(some[at], some[other]):
            assert places[blocks[at].span.span_id] < places[blocks[other].span.span_id]


trees = st.recursive(st.just(()), lambda below: st.lists(below, max_size=4).map(tuple), max_leaves=12)


@given(st.data(), trees, st.randoms(use_true_random=False))
def test_concurrent_siblings_may_run_at_any_time_and_arrive_in_any_order(
    data: st.DataObject, tree: tuple[Any, ...], random: Random
) -> None:
    names: dict[str, tuple[str, int]] = {}

    def runs(below: tuple[Any, ...], path: str) -> list[Span]:
        """The tree as spans that all began before any ended, at random."""
        name, number = names.setdefault(path, data.draw(st.tuples(st.sampled_from("ab"), st.integers(0, 1))))
        own = span(
            name,
            path[:-1],
            id=path,
            start_ms=random.random(),
            duration_ms=2 + random.random(),
            attributes={"n": number},
        )
        return [own, *(one for at, child in enumerate(below) for one in runs(child, f"{path}{at}"))]

    drawn = set()
    for _ in range(5):
        spans = runs(tree, "t")
        random.shuffle(spans)
        drawn.add(outline([Trace(TRACE, spans)], attrs=["n"]))
    assert len(drawn) == 1


def test_a_hundred_runs_of_a_concurrent_program_give_one_text() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    providers.attach(provider)
    tracer, random = provider.get_tracer("app"), Random(7)

    async def work(name: str, document: int, *below: str) -> None:
        with tracer.start_as_current_span(name, attributes={"doc.id": document}):
            for _ in range(random.randint(1, 5)):
                await asyncio.sleep(0)
            await asyncio.gather(*(work(inner, document) for inner in below))

    async def pipeline() -> None:
        with tracer.start_as_current_span("pipeline"):
            await work("fetch", 0)
            jobs = [work("parse", 1, "b", "a"), work("embed", 2), work("embed", 1), work("embed", 2)]
            random.shuffle(jobs)
            await asyncio.gather(*jobs)
            await work("commit", 0)

    drawn = set()
    for _ in range(100):
        with capture() as traces:
            asyncio.run(pipeline())
        drawn.add(outline(traces.capture.snapshot().traces(), attrs=["doc.id"]))
    assert drawn == {
        """\
pipeline
  fetch doc.id=0
  embed doc.id=1
  embed doc.id=2 x2
  parse doc.id=1
    a doc.id=1
    b doc.id=1
  commit doc.id=0
"""
    }


def test_a_long_chain_and_many_siblings_are_drawn() -> None:
    chain = [span("a", str(at - 1) if at else "", id=str(at)) for at in range(2_000)]
    assert outline([Trace(TRACE, chain)]).count("\n") == 2_000
    wide = [span(f"q{at % 7}", "top", id=str(at), start_ms=at / 3, duration_ms=at % 5) for at in range(5_000)]
    assert outline([Trace(TRACE, [span("top"), *wide])], collapse=False).count("\n") == 5_001
