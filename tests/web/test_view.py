"""An address to the rows that it shows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minitrace.analysis.repeats import runs
from minitrace.analysis.tree import tree
from minitrace.model import Kind, Span, Status, StatusCode, Trace
from minitrace.web.rows import ERROR, RUN, Rows, rows
from minitrace.web.view import Sight, View, fold_key, read_view
from tests.samples import MS, TRACE, span, span_id

BAD = Status(StatusCode.ERROR)
SHOP = [
    span("root", service="web", duration_ms=100, kind=Kind.SERVER),
    span("cart", "root", service="cart", start_ms=1, duration_ms=20, kind=Kind.CLIENT),
    span("redis", "cart", service="redis", start_ms=2, duration_ms=3, kind=Kind.CLIENT),
    span("pay", "root", service="pay", start_ms=30, duration_ms=60, kind=Kind.CLIENT),
    span("bank", "pay", service="bank", start_ms=31, duration_ms=50, status=BAD),
    *(span("query", "pay", id=f"query {n}", service="pay", start_ms=82 + n, duration_ms=1) for n in range(5)),
]


def rows_of(spans: list[Span]) -> Rows:
    found = tree(Trace(TRACE, spans))
    return rows(found, runs(found))


def seen(view: View, spans: list[Span] = SHOP, matches: tuple[str, ...] = ()) -> str:
    """The names shown, in order; in brackets what is only context, with ▸ where folded."""
    found = rows_of(spans)
    hits = {row for row in range(len(found)) if found.id(row) in {span_id(name) for name in matches}}
    sight = Sight(found, view, hits)
    return " ".join(
        ("({})" if sight.is_context(row) else "{}").format(
            found.names[found.name[row]] + ("▸" if sight.is_folded(row) else "")
        )
        for row in sight.shown
    )


def test_runs_are_folded_unless_the_address_says_otherwise() -> None:
    key = "r" + span_id("query 0").hex()[:8]
    assert seen(View()) == "root cart redis pay bank query▸"
    assert seen(View(toggled=frozenset({key}))) == "root cart redis pay bank query query query query query query"


def test_a_row_in_x_is_folded() -> None:
    assert seen(View(toggled=frozenset({span_id("pay").hex()[:6]}))) == "root cart redis pay▸"


def test_a_prefix_in_x_toggles_every_row_that_it_fits() -> None:
    spans = [span("a", span_id=b"\xab" * 8), span("b", span_id=b"\xab" * 7 + b"\1", parent_id=b"\xab" * 8)]
    spans += [span("c", parent_id=spans[1].span_id)]
    assert seen(View(toggled=frozenset({"abab" * 3})), spans) == "a▸"
    assert seen(View(toggled=frozenset({"ab" * 7 + "01"})), spans) == "a b▸"
    assert seen(View(depth=1, toggled=frozenset({"abab" * 3, "ab" * 8})), spans) == "a b c"


def test_a_depth_folds_what_is_below_it_and_x_unfolds_one() -> None:
    assert seen(View(depth=1)) == "root▸"
    assert seen(View(depth=2)) == "root cart▸ pay▸"
    assert seen(View(depth=2, toggled=frozenset({span_id("cart").hex()[:6]}))) == "root cart redis pay▸"


def test_a_filter_keeps_what_leads_to_what_it_keeps() -> None:
    assert seen(View(show=("errors",))) == "(root) (pay) bank"


def test_pills_are_alternatives() -> None:
    assert seen(View(show=("errors", "slow"))) == "root cart pay bank"
    assert seen(View(show=("errors", "errors"))) == seen(View(show=("errors",)))


def test_hidden_services_kinds_and_short_spans_are_left_out() -> None:
    assert seen(View(hide=("redis", "bank", "pay"))) == "root cart"
    assert seen(View(hide=("pay",))) == "root cart redis (pay) bank"
    assert seen(View(without=(Kind.CLIENT,))) == "root (pay) bank (query) query query query query query"
    assert seen(View(without=(Kind.CLIENT,), least_ns=10 * MS)) == "root (pay) bank"


def test_a_span_as_long_as_the_least_is_kept() -> None:
    assert seen(View(least_ns=60 * MS)) == "root pay"
    assert seen(View(least_ns=5 * MS)) == "root cart pay bank"  # the run lasts so long, and none of its spans


def test_only_matches_unfolds_a_run() -> None:
    view = View(find="query", only=True)
    assert seen(view, matches=("query 3",)) == "(root) (pay) (query) query"


def test_what_is_found_changes_nothing_unless_only_that_is_wanted() -> None:
    assert seen(View(find="cart"), matches=("cart",)) == seen(View())


def test_a_root_shows_only_its_subtree() -> None:
    assert seen(View(root=span_id("cart"))) == "cart redis"
    assert seen(View(root=span_id("pay"), depth=1)) == "pay▸"
    assert (
        seen(View(root=span_id("a"), depth=2), [span("top"), span("a", "top"), span("b", "a"), span("c", "b")])
        == "a b▸"
    )
    assert seen(View(root=span_id("nobody"))) == seen(View())


def test_an_address_is_read() -> None:
    pairs = [
        ("view", "table"), ("find", " a "), ("only", "1"), ("show", "errors,slow"), ("hide", "x"), ("hide", "y"),
        ("without", "client,internal"), ("min", "5ms"), ("root", "ab" * 8), ("t", "120ms,1.5s"), ("depth", "3"),
        ("x", "aabbcc,raabbcc"), ("runs", "0"), ("skew", "raw"), ("gaps", "0"),
    ]  # fmt: skip
    assert read_view(pairs) == View(
        "table", "a", True, ("errors", "slow"), ("x", "y"), (Kind.CLIENT, Kind.INTERNAL), 5 * MS, b"\xab" * 8,
        (120 * MS, 1500 * MS), 3, frozenset({"aabbcc", "raabbcc"}), False, False, False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("view", "x"), ("only", "1"), ("show", "all"), ("without", "x"), ("min", "5"), ("min", "x"), ("root", "zz"),
        ("min", "99999999h"), ("t", "1ms"), ("t", "5ms,1ms"), ("t", "5ms,5ms"), ("t", "a,b"), ("t", "0,99999999h"),
        ("depth", "-1"), ("depth", "x"), ("depth", "100000"), ("depth", "²"), ("depth", "٣"), ("x", "abc"),
        ("runs", "1"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_as_if_it_was_not_there(name: str, value: str) -> None:
    assert read_view([(name, value)]) == View()


def test_of_a_parameter_given_twice_the_first_counts() -> None:
    assert read_view([("depth", "2"), ("depth", "3")]) == View(depth=2)


def test_people_write_durations_with_spaces() -> None:
    assert read_view([("min", " 5 ms "), ("t", "1 s, 2 s")]) == View(least_ns=5 * MS, window=(1000 * MS, 2000 * MS))


trees = st.lists(st.tuples(st.integers(-1, 12), st.booleans()), min_size=1, max_size=14)


@given(trees, st.integers(0, 4), st.sets(st.integers(0, 13), max_size=3), st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_row_is_shown_if_nothing_above_it_is_folded_and_something_below_is_wanted(
    shape: list[tuple[int, bool]], depth: int, toggled: set[int], only_errors: bool
) -> None:
    spans = [
        span("x", str(parent) if -1 < parent < n else "", id=str(n), start_ms=n, status=BAD if is_bad else Status())
        for n, (parent, is_bad) in enumerate(shape)
    ]
    found = rows_of(spans)
    keys = frozenset(span_id(str(n)).hex() for n in toggled)
    view = View(depth=depth, toggled=keys, show=("errors",) if only_errors else ())
    folded = {}
    for row in range(len(found)):
        by_default = (bool(found.flags[row] & RUN) and not only_errors) or 0 < depth <= found.depth[row] + 1
        folded[row] = found.size[row] > 1 and by_default != (fold_key(found, row) in keys)
    expected = []
    for row in range(len(found)):
        above = [a for a in range(row) if a + found.size[a] > row]
        below = range(row, row + found.size[row])
        reaches = not only_errors or any(found.flags[b] & ERROR for b in below)
        if reaches and not any(folded[a] for a in above):
            expected.append(row)
    assert Sight(found, view).shown == expected
