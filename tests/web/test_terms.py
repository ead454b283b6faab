"""The field "Attributes": what is typed, what it means, and what is said of mistakes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.errors import DecodeError
from minitrace.store.dictionary import AttributeKey
from minitrace.traceql.ast import SCOPES, Attribute, Binary, Static
from minitrace.traceql.patterns import compile_pattern
from minitrace.web.terms import conditions, read_terms, suggestions, unknown

SIGNS = ["=", ">", ">=", "<", "<=", "~"]


def meant(text: str, *keys: tuple[str, str, str]) -> list[tuple[str | None, str, str, object]]:
    """Scope, key, operator and value of each condition, where attributes have these keys."""
    known = [AttributeKey(*key, 1) for key in keys]
    return [parts(condition) for condition in conditions(read_terms(text), known)]


def parts(condition: Binary) -> tuple[str | None, str, str, object]:
    """What a condition compares with what."""
    assert isinstance(condition.left, Attribute)
    assert isinstance(condition.right, Static)
    return condition.left.scope, condition.left.name, condition.operator, condition.right.value


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        ("  ", []),
        ("http.route=/x", [(None, "http.route", "=", "/x")]),
        (" a=1  b=2 ", [(None, "a", "=", 1), (None, "b", "=", 2)]),
        ("a=b=c", [(None, "a", "=", "b=c")]),
        ("url=https://x/?q=1&r=2", [(None, "url", "=", "https://x/?q=1&r=2")]),
        ("a>1 b>=-1.5 c<.5 d<=1e3", [(None, "a", ">", 1), (None, "b", ">=", -1.5), (None, "c", "<", 0.5),
                                     (None, "d", "<=", 1000.0)]),
        ("a=true b=false c=True", [(None, "a", "=", True), (None, "b", "=", False), (None, "c", "=", "True")]),
        ('a="1" b="true" c=""', [(None, "a", "=", "1"), (None, "b", "=", "true"), (None, "c", "=", "")]),
        ("a~500", [(None, "a", "=~", "(?i).*500.*")]),
        ('a~"x y"', [(None, "a", "=~", "(?i).*x y.*")]),
        ("a~/x.y?z", [(None, "a", "=~", r"(?i).*/x\.y\?z.*")]),
        (r'a="say \"hi\" \\ \n"', [(None, "a", "=", 'say "hi" \\ \n')]),
        ('a=b"c', [(None, "a", "=", 'b"c')]),
        ("1.2.3=1.2.3", [(None, "1.2.3", "=", "1.2.3")]),
        ("a=9223372036854775807", [(None, "a", "=", 2**63 - 1)]),
        ("a=9223372036854775808", [(None, "a", "=", float(2**63))]),  # no whole number is greater
        ("a=1e999", [(None, "a", "=", "1e999")]),
        ("resource.service.name=shop", [("resource", "service.name", "=", "shop")]),
        ("span.a=x event.b=x link.c=x instrumentation.d=x",
         [("span", "a", "=", "x"), ("event", "b", "=", "x"), ("link", "c", "=", "x"),
          ("instrumentation", "d", "=", "x")]),
        ("resource=x", [(None, "resource", "=", "x")]),
        ("resource.=x", [(None, "resource.", "=", "x")]),
        ("http.resource.a=x", [(None, "http.resource.a", "=", "x")]),
        ("resource.span.a=x", [("resource", "span.a", "=", "x")]),
        ('"span.a"=x', [(None, "span.a", "=", "x")]),
        ('resource."a b"=x', [("resource", "a b", "=", "x")]),
        ("schlüssel=größe", [(None, "schlüssel", "=", "größe")]),
    ],
)  # fmt: skip
def test_terms_are_read(text: str, terms: list[tuple[str | None, str, str, object]]) -> None:
    found = meant(text)
    assert found == terms
    assert [type(term[3]) for term in found] == [type(term[3]) for term in terms]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("retries", "At character 1: write retries=value, with one of = > >= < <= ~ and no space around it."),
        ("a=1 retries >= 3", "At character 5: write retries=value, with one of"),
        ("a= 1", "At character 3: write the value right behind the operator"),
        ("a=", "At character 3: write the value right behind the operator"),
        ("=1", "At character 1: write a key before ="),
        ("a=1 ~x", "At character 5: write a key before ~"),
        ('a="b', "At character 3: this quote is not closed"),
        ('"a=b', "At character 1: this quote is not closed"),
        ('""=b', "At character 1: a key has at least one character."),
        (r'a="C:\dir"', r"At character 6: write \\d for a backslash within quotes."),
        ('a="b"c', "At character 6: leave a space behind the closing quote."),
        ("a!=b", "At character 2: != is not known here"),
        ("a>true", "At character 2: true is neither more nor less than another value: use =."),
    ],
)
def test_a_mistake_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(DecodeError) as error:
        read_terms(text)
    assert str(error.value).startswith(said)


INT, TEXT = ("span", "a", "int"), ("span", "a", "string")


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        ([], 500),
        ([INT], 500),
        ([("span", "a", "double")], 500),
        ([TEXT], "500"),
        ([TEXT, INT], 500),
        ([TEXT, ("resource", "a", "int")], 500),
        ([TEXT, ("event", "a", "int")], "500"),  # which needs its scope
        ([TEXT, ("span", "a", "array")], "500"),
        ([("intrinsic", "a", "string")], 500),
        ([("span", "b", "string")], 500),
    ],
)
def test_digits_are_a_string_where_the_key_has_no_numbers(keys: list[tuple[str, str, str]], value: object) -> None:
    assert meant("a=500", *keys) == [(None, "a", "=", value)]
    assert meant('a="500"', *keys) == [(None, "a", "=", "500")]


def test_only_the_scope_that_is_asked_for_says_what_digits_are() -> None:
    keys = [TEXT, ("resource", "a", "int")]
    assert meant("span.a=1 resource.a=1", *keys) == [("span", "a", "=", "1"), ("resource", "a", "=", 1)]


def test_truth_values_are_words_where_the_key_has_only_words() -> None:
    assert meant("a=true", TEXT) == [(None, "a", "=", "true")]
    assert meant("a=true", TEXT, ("span", "a", "bool")) == [(None, "a", "=", True)]
    assert meant("a=1.50", TEXT) == [(None, "a", "=", "1.50")]  # as typed


def test_strings_are_not_ordered_as_if_they_were_numbers() -> None:
    with pytest.raises(DecodeError, match=r'The values of a are strings.* or "9" in quotes'):
        meant("a>9", TEXT)
    assert meant('a>"9"', TEXT) == [(None, "a", ">", "9")]


def test_keys_are_suggested_as_terms_begin() -> None:
    keys = [AttributeKey(*key, 1) for key in (TEXT, INT, ("span", "a b", "int"), ("resource", "span.x", "int"),
                                              ("intrinsic", "name", "string"), ("event", 'q"', "int"),
                                              ("event", "a", "int"))]  # fmt: skip
    assert suggestions(keys) == ["a=", "event.a=", '"a b"=', 'event."q\\""=', '"span.x"=']


def test_a_key_that_nothing_has_is_told_from_one_in_another_scope() -> None:
    keys = [
        AttributeKey(*key, 1) for key in (TEXT, ("event", "b", "int"), ("link", "b", "int"), ("event", "b", "string"))
    ]
    asked = [Attribute(None, "a"), Attribute("resource", "a"), Attribute(None, "b"), Attribute("event", "b"),
             Attribute("span", "a b"), Attribute(None, "b")]  # fmt: skip
    assert unknown(asked, keys) == {
        "resource.a": ["span.a"],
        "b": ["event.b", "link.b"],
        'span."a b"': [],
    }


WORDS = st.text(min_size=1).filter(lambda text: not set(text) & set('"=<>~!') and len(text.split()) == 1)
PLAIN = WORDS.filter(lambda text: text == text.strip() and not text.startswith(SCOPES))


def quoted(text: str) -> str:
    """JSON's quoting, of only what has to be."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(
    st.lists(
        st.tuples(st.sampled_from([None, *SCOPES]), st.text(min_size=1), st.sampled_from(SIGNS), st.text()),
        max_size=5,
    ),
    st.sampled_from([" ", "  ", "\t"]),
)
def test_what_is_quoted_is_read_as_it_was(terms: list[tuple[str | None, str, str, str]], space: str) -> None:
    written = [(f"{scope}." if scope else "") + quoted(key) + sign + quoted(value) for scope, key, sign, value in terms]
    found = [(term.scope, term.name, term.operator, term.text) for term in read_terms(space.join(written))]
    assert found == terms


@given(PLAIN, st.sampled_from(SIGNS), PLAIN)
def test_quotes_make_no_difference_to_a_plain_key(key: str, sign: str, value: str) -> None:
    assert meant(f"{key}{sign}{quoted(value)}") == meant(f"{quoted(key)}{sign}{quoted(value)}")


ASCII = st.text(st.characters(max_codepoint=127))


@given(ASCII, ASCII, ASCII)
def test_contains_finds_a_text_in_any_case_and_as_it_is(before: str, text: str, after: str) -> None:
    ((_, _, _, pattern),) = meant(f"a~{quoted(text)}")
    fits = compile_pattern(str(pattern)).matches
    assert fits(before + text.swapcase() + after)
    assert fits(before + after) == (text.lower() in (before + after).lower())


@given(st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), st.booleans()))
def test_numbers_and_truth_values_are_read_as_json_writes_them(value: float | bool) -> None:
    assert meant(f"a={json.dumps(value)}") == [(None, "a", "=", value)]


@given(st.text(st.sampled_from('ab.= <>~"\\!1') | st.characters()))
def test_any_text_is_read_or_refused_with_a_place_in_it(text: str) -> None:
    try:
        terms = read_terms(text)
    except DecodeError as error:
        place = int(str(error).removeprefix("At character ").partition(":")[0])
        assert 1 <= place <= len(text) + 1
    else:
        assert bool(terms) == bool(text.strip())


@given(st.sampled_from(SCOPES), st.text(min_size=1))
def test_a_suggestion_is_a_term_with_that_key(scope: str, name: str) -> None:
    (suggestion,) = suggestions([AttributeKey(scope, name, "string", 1)])
    assert meant(suggestion + "x") == [(None if scope in ("span", "resource") else scope, name, "=", "x")]
    assert "\n" not in suggestion  # a field of one line would lose it
