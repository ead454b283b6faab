"""What may stand at a place of a query that is being typed."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.traceql import hints, vocabulary
from minitrace.traceql.ast import FIELD_PRECEDENCE, SPANSET_PRECEDENCE, UNARY_PRECEDENCE, Intrinsic, Static
from minitrace.traceql.completion import Place, place_at
from minitrace.traceql.lexer import Token, tokens
from minitrace.traceql.names import INTRINSICS
from tests.traceql.test_corpus import lines

QUERIES = [line for line in lines("valid") if "{" in line or "(" in line]


def at(text: str) -> Place:
    """The place of the caret, which is drawn as │."""
    return place_at(text.replace("│", ""), text.index("│"))


def words(text: str) -> list[str]:
    return [word.text for word in at(text).words]


def offers(place: Place, token: Token) -> bool:
    """Whether a token of a query is among what may stand at its place."""
    offered = {word.text for word in place.words}
    if isinstance(token.node, Intrinsic):
        return token.node.name in offered
    if token.kind == "attribute":
        return place.has_keys
    if isinstance(token.node, Static):
        return place.has_value if token.kind != "word" or token.text in ("minInt", "maxInt") else token.text in offered
    return token.text in offered or (token.kind == "word" and "most_recent" in offered)


@pytest.mark.parametrize("query", QUERIES)
def test_every_token_of_a_query_is_offered_where_it_stands(query: str) -> None:
    for token in tokens(query)[:-1]:
        place = place_at(query[: token.start] + " ", token.start + 1)
        assert offers(place, token), (query[: token.start], token.text)
        assert place.is_readable


@given(st.sampled_from(QUERIES), st.data())
def test_what_follows_the_caret_changes_nothing_but_the_condition(query: str, data: st.DataObject) -> None:
    token = data.draw(st.sampled_from(tokens(query)[:-1]))
    alone = place_at(query[: token.start] + " ", token.start + 1)
    within = place_at(f"{query[: token.start]}  {query[token.start :]}", token.start + 1)
    assert (within.words, within.has_keys, within.has_value) == (alone.words, alone.has_keys, alone.has_value)


@pytest.mark.parametrize(
    ("text", "typed", "replaced"),
    [
        ("{ na│", "na", "na"),
        ("{ na│me = 1 }", "na", "name"),
        ("{ │name = 1 }", "", ""),
        ("{ resource.serv│ice.name = 1 }", "resource.serv", "resource.service.name"),
        ("{ span.│ }", "span.", "span."),
        ("{ .│", ".", "."),
        ("{ http.ro│ute", "http.ro", "http.route"),
        ('{ span."a b│', "span.a b", 'span."a b'),
        ('{ ."a b│".c = 1 }', ".a b", '."a b".c'),
        ("{ trace:dur│", "trace:dur", "trace:dur"),
        ('{ name = "GE│', "GE", '"GE'),
        ('{ name = "GE│T /cart" && .a = 1 }', "GE", '"GET /cart"'),
        ('{ name = "GE│ && .a = "x" }', "GE", '"GE'),
        ('{ name = "GET"│ }', "", ""),
        ("{ name = `GE│T`", "GE", "`GET`"),
        ("{ name = 'GE│", "GE", "'GE"),
        ("{ duration > 25│0ms }", "25", "250ms"),
        ("{ .a &│ }", "&", "&"),
        ("{ .a !│ }", "!", "!"),
        ("{ } | cou│", "cou", "cou"),
        ("{ } | by(res│)", "res", "res"),
    ],
)
def test_what_is_typed_is_told_from_what_will_be_replaced(text: str, typed: str, replaced: str) -> None:
    place = at(text)
    assert (place.typed, text.replace("│", "")[place.start : place.end]) == (typed, replaced)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("│", "{ ("),
        ("{ │", "name duration status kind"),
        ("{ name │", "= != =~ !~ > >= < <= }"),
        ("{ duration │", "= != > >= < <= + - * / % ^ }"),
        ("{ status │", "= != }"),
        ("{ .a = 1 │", "&& || }"),
        ("{ (.a = 1 │", "&& || )"),
        ("{ status = │", "status"),
        ("{ } │", "| && || >> > << < ~"),
        ("{ } | count() │", "= != > >= < <= + - * / % ^"),
        ("{ } | rate() │", "= != > >= < <= | by with"),
        ("{ } | rate() | │", "topk bottomk"),
        ("({ } | rate()) │", "= != > >= < <= + - * / | with"),
        ("{ } | by(name) | │", "{ ( - count avg max min sum by select coalesce rate"),
        ("{ } | sum(│", "duration traceDuration"),
        ("{ } | select(name │", ") ,"),
        ("{ .a =~ │", ""),
        ('{ name = "│', ""),
        ("{ foo │", ""),
        ("{ .a = 1 // done │", ""),
    ],
)
def test_words_fit_and_the_likely_ones_are_first(text: str, first: str) -> None:
    found = " ".join(words(text))
    assert found.startswith(first) if first else found == ""


@pytest.mark.parametrize(
    ("text", "field", "type"),
    [
        ("{ name = │", "name", "string"),
        ('{ name =~ "GE│T"', "name", "string"),
        ("{ resource.a != │ }", "resource.a", "unknown"),
        ("{ parent.span.a = │ }", "parent.span.a", "unknown"),
        ("{ .a = 1 && duration > 1│", "duration", "duration"),
        ("{ .a + .b > │", "None", "unknown"),
        ("{ } | avg(duration) > │", "None", "duration"),
        ("{ } | count() > │", "None", "int"),
        ("{ foo bar && (kind = │", "kind", "kind"),
    ],
)
def test_a_value_is_known_by_what_it_is_compared_with(text: str, field: str, type: str) -> None:
    place = at(text)
    assert (str(place.field), place.type, place.has_value) == (field, type, True)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ('{ resource.cluster = "eu" && name = "ca│rt" }', 'resource.cluster = "eu"'),
        ('{ resource.cluster = "eu" && name = │', 'resource.cluster = "eu"'),
        ('{ .a = 1 && na│me = "x" && .b = 2 }', ".a = 1 && .b = 2"),
        ("{ .a = 1 || name = │ }", "None"),
        ("{ .a = 1 } && { .b = 2 && name = │ }", ".b = 2"),
        ("{ .b = 2 && name = │ | count() > 2", ".b = 2"),
        ("{ .a = 1 } | by(│", ".a = 1"),
    ],
)
def test_the_condition_is_what_the_rest_of_the_filter_asks(text: str, condition: str) -> None:
    assert str(at(text).condition) == condition


@pytest.mark.parametrize(
    ("text", "is_readable"),
    [
        ("{ name = │", True),
        ("{ name = fo│", True),
        ("{ foo = │", False),
        ("{ } | foo() │", False),
        ("{ .a == │", False),
    ],
)
def test_a_place_says_whether_a_query_may_begin_so(text: str, is_readable: bool) -> None:
    assert at(text).is_readable == is_readable


@given(st.text(), st.integers(-2, 100))
def test_any_text_has_places(text: str, position: int) -> None:
    place = place_at(text, position)
    assert 0 <= place.start <= place.end <= len(text)


@given(st.sampled_from(lines("valid") + lines("invalid")), st.data())
def test_every_place_of_a_query_replaces_what_holds_the_caret(query: str, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(query)))
    place = place_at(query, position)
    assert place.start <= position <= place.end
    assert len(place.typed) <= position - place.start


@pytest.mark.parametrize(
    "text",
    ["(" * 60_000, "{ " + "!" * 60_000, "{ " + ".a = 1 && " * 1000, "{ " + ".a = 1 && " * 400, "/*" * 30_000,
     '"\\' * 30_000, "'" * 60_000, "{ .a + " + "(.a + " * 500, "{" * 10**6, "{ " + "(" * 60, "{" + "a" * 60_000],
    ids=lambda text: text[:6] + str(len(text)),
)  # fmt: skip
def test_hostile_text_takes_no_longer_than_it_is(text: str) -> None:
    start = time.perf_counter()
    place_at(text, len(text))
    assert time.perf_counter() - start < 2  # some 50 ms; minutes if it were quadratic


def test_every_word_of_the_language_has_a_meaning() -> None:
    operators = {word.text for word in (*vocabulary.OPERATORS, *vocabulary.STRUCTURE)}
    assert {word.text for word in vocabulary.INTRINSICS} == set(INTRINSICS)
    assert {word.text for word in vocabulary.FUNCTIONS} == set(hints.FUNCTIONS)
    assert {word.text for word in vocabulary.KEYWORDS} == set(hints.KEYWORDS)
    assert operators == {*FIELD_PRECEDENCE, *SPANSET_PRECEDENCE, *UNARY_PRECEDENCE, "|"}


@pytest.mark.parametrize(
    ("text", "has_words"),
    [("{ // as │", False), ("{ // as\n│", True), ("{ .a = 1 // as\n && │", True), ("{ .a = 1 } // │", False)],
)
def test_a_comment_ends_with_its_line(text: str, has_words: bool) -> None:
    assert bool(at(text).words) is has_words


def test_in_a_string_are_no_keys() -> None:
    assert at("{ .a = │").has_keys
    assert not at('{ .a = "│').has_keys
    assert not at("{ .a =~ │").has_keys


def test_a_string_in_backquotes_goes_on_over_lines() -> None:
    assert (at("{ .a = `x\ny│").is_quoted, at('{ .a = "x\ny│').is_quoted) == (True, False)


def test_what_stands_behind_the_filter_is_no_condition_of_it() -> None:
    assert str(at("{ │ .a = 1").condition) == ".a = 1"
    assert str(at("{ .b = 2 && │ | count() > 1 && .c = 3 }").condition) == ".b = 2"
