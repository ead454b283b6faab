"""Trees: every span exactly once, whatever their parents claim."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace import model
from minitrace.model import MAX_TIME_NS, Kind, Node, Resource, Span, Trace
from tests.samples import MS, T0, TRACE, draw, span, span_id


def problems(trace: Trace) -> dict[str, list[str]]:
    return {node.span.name: node.problems for node in trace.rows() if node.problems}


def test_children_stand_below_their_parent_in_order_of_start() -> None:
    spans = [span("late", "root", start_ms=5), span("early", "root", start_ms=1), span("root"), span("leaf", "late")]
    assert draw(Trace(TRACE, spans)) == "root\n  early\n  late\n    leaf"


def test_an_orphan_stands_at_the_top_behind_the_roots_and_says_whom_it_misses() -> None:
    trace = Trace(TRACE, [span("orphan", "nobody"), span("root", start_ms=5)])
    assert draw(trace) == "root\norphan"
    assert problems(trace) == {"orphan": [f"parent {span_id('nobody').hex()} not received"]}


def test_several_roots_are_all_shown_and_the_earliest_is_the_root() -> None:
    trace = Trace(TRACE, [span("second", start_ms=2), span("first", start_ms=1)])
    assert draw(trace) == "first\nsecond"
    assert trace.root is not None
    assert trace.root.span.name == "first"


def test_a_trace_of_orphans_has_no_root() -> None:
    assert Trace(TRACE, [span("orphan", "nobody")]).root is None


def test_a_span_that_names_itself_as_parent_stands_at_the_top() -> None:
    trace = Trace(TRACE, [span("loop", "loop"), span("child", "loop")])
    assert draw(trace) == "loop\n  child"
    assert problems(trace) == {"loop": ["names itself as its parent"]}


def test_a_cycle_of_parents_is_cut_at_its_earliest_span() -> None:
    spans = [span("a", "c", start_ms=3), span("b", "a", start_ms=1), span("c", "b", start_ms=2), span("tail", "a")]
    trace = Trace(TRACE, spans)
    assert draw(trace) == "b\n  c\n    a\n      tail"
    assert problems(trace) == {"b": ["its parents form a cycle, cut here"]}


def test_of_two_spans_with_one_id_the_earlier_keeps_the_children() -> None:
    spans = [span("second", id="x", start_ms=2), span("first", id="x", start_ms=1), span("child", "x")]
    trace = Trace(TRACE, spans)
    assert draw(trace) == "first\n  child\nsecond"
    assert problems(trace) == {"second": ["another span of this trace has the same id"]}


def test_of_spans_with_one_id_each_but_the_earliest_says_so_once_in_whatever_order_they_come() -> None:
    for order in permutations(
        [span("first", id="x", start_ms=1), span("b", id="x", start_ms=2), span("c", id="x", start_ms=3)]
    ):
        trace = Trace(TRACE, [*order, span("child", "x")])
        assert draw(trace) == "first\n  child\nb\nc"
        assert problems(trace) == {name: ["another span of this trace has the same id"] for name in "bc"}


def test_a_server_with_its_clients_id_stands_below_it_and_has_its_children() -> None:
    """Whichever of them seems to have begun first: their clocks differ."""
    for start_ms in (-1, 1):
        client = span("client", "root", id="x", kind=Kind.CLIENT)
        server = span("server", "root", id="x", kind=Kind.SERVER, start_ms=start_ms)
        trace = Trace(TRACE, [span("child", "x"), server, client, span("root")])
        assert draw(trace) == "root\n  client\n    server\n      child"
        assert problems(trace) == {}


def test_the_first_call_of_a_trace_has_one_root_though_neither_side_has_a_parent() -> None:
    trace = Trace(TRACE, [span("server", id="x", kind=Kind.SERVER), span("client", id="x", kind=Kind.CLIENT)])
    assert draw(trace) == "client\n  server"


def test_of_two_servers_with_their_clients_id_neither_stands_below_it() -> None:
    kinds = {"client": Kind.CLIENT, "one": Kind.SERVER, "two": Kind.SERVER}
    spans = [span(name, id="x", kind=kind, start_ms=at) for at, (name, kind) in enumerate(kinds.items())]
    assert draw(Trace(TRACE, spans)) == "client\none\ntwo"


def test_ten_thousand_siblings_and_as_many_orphans_are_in_order_of_start() -> None:
    starts = list(range(10_000))
    Random(1).shuffle(starts)
    siblings = [span(f"s{start}", "root", start_ms=start) for start in starts]
    orphans = [span(f"o{start}", "nobody", start_ms=start) for start in starts]
    names = [node.span.name for node in Trace(TRACE, [*siblings, *orphans, span("root")]).rows()]
    assert names == ["root", *(f"{letter}{start}" for letter in "so" for start in range(10_000))]


def test_a_trace_that_was_let_go_holds_no_span_and_no_node_holds_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "AT_ONCE", 2)
    trace = Trace(TRACE, [span("root"), span("child", "root"), span("orphan", "nobody")])
    nodes = list(trace.rows())
    trace.let_go()
    assert (trace.spans, trace.tops, list(trace.rows())) == ([], [], [])
    assert [node.children for node in nodes] == [[], [], []]


def test_a_span_that_ends_before_it_starts_has_no_duration_and_says_so() -> None:
    trace = Trace(TRACE, [span("back", duration_ms=-2)])
    assert trace.spans[0].duration_ns == 0
    assert problems(trace) == {"back": ["ends 2000000 ns before it starts"]}


def test_times_that_cannot_be_do_not_stretch_the_trace() -> None:
    spans = [
        span("fine", duration_ms=10),
        span("unset", start_ns=0, end_ns=0),
        span("far", start_ns=T0, end_ns=2**64 - 1),
        span("beyond", start_ns=MAX_TIME_NS, end_ns=MAX_TIME_NS),
    ]
    trace = Trace(TRACE, spans)
    assert (trace.start_ns, trace.duration_ns) == (T0, 10 * MS)
    assert problems(trace) == {
        "unset": ["has no start time"],
        "far": ["has a time after the year 2262"],
        "beyond": ["has a time after the year 2262"],
    }


def test_a_span_without_an_end_is_marked() -> None:
    assert problems(Trace(TRACE, [span("open", end_ns=0)])) == {"open": ["has no end time"]}


def test_a_service_without_a_name_is_unknown_service() -> None:
    assert [Resource({}).service, Resource({"service.name": ""}).service] == ["unknown_service"] * 2


def test_a_chain_of_twenty_thousand_spans_is_a_tree_too() -> None:
    spans = [span(f"s{i}", f"s{i - 1}" if i else "", start_ms=i) for i in range(20_000)]
    assert max(node.depth for node in Trace(TRACE, spans).rows()) == 19_999


@st.composite
def graphs(draw: st.DrawFn) -> list[Span]:
    """Spans with any parents: cycles, orphans, duplicates, calls whose two sides share an id."""
    names = st.sampled_from("abcdefgh")
    pairs = draw(
        st.lists(
            st.tuples(
                names,
                st.one_of(st.just(""), names, st.just("missing")),
                st.integers(0, 9),
                st.sampled_from([Kind.CLIENT, Kind.SERVER]),
            ),
            max_size=12,
        )
    )
    return [span(name, parent, start_ms=start, kind=kind) for name, parent, start, kind in pairs]


def parents_in_tree(trace: Trace) -> dict[int, Node | None]:
    above: dict[int, Node | None] = {id(top): None for top in trace.tops}
    for node in trace.rows():
        above.update({id(child): node for child in node.children})
    return above


@given(graphs())
def test_every_span_is_in_the_tree_exactly_once(spans: list[Span]) -> None:
    rows = list(Trace(TRACE, spans).rows())
    assert sorted(map(id, spans)) == sorted(id(node.span) for node in rows)


@given(graphs())
def test_a_span_stands_below_its_parent_or_says_why_not(spans: list[Span]) -> None:
    trace = Trace(TRACE, spans)
    above = parents_in_tree(trace)
    for node in trace.rows():
        parent = above[id(node)]
        if parent:
            assert parent.span.span_id in (node.span.parent_id, node.span.span_id)
            assert node.depth == parent.depth + 1
        else:
            assert not node.span.parent_id or node.problems


@given(graphs(), st.randoms())
def test_the_order_of_arrival_changes_nothing(spans: list[Span], random: object) -> None:
    distinct = {(one.name, one.start_ns): one for one in spans}.values()
    spans = [replace(one, name=str(number)) for number, one in enumerate(distinct)]
    shuffled = list(spans)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert draw(Trace(TRACE, shuffled)) == draw(Trace(TRACE, spans))
