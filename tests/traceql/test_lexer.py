"""Text to tokens: what a name takes, which numbers are durations, what strings mean."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.errors import TraceQLError
from minitrace.model import Kind, StatusCode
from minitrace.traceql.ast import MAX_INT, MIN_INT, Attribute, Duration, Intrinsic, Static, Value
from minitrace.traceql.lexer import MAX_CHARACTERS, MAX_TOKENS, Token, lenient_tokens, tokens


def kinds(text: str) -> list[str]:
    return [token.kind for token in tokens(text)]


def value(text: str) -> Value:
    node = tokens(text)[0].node
    assert isinstance(node, Static)
    return node.value


@pytest.mark.parametrize(
    ("text", "attribute"),
    [
        (".a-b", Attribute(None, "a-b")),
        (".a+b/c*d%e:f[0]@g#h$i;j'k`l", Attribute(None, "a+b/c*d%e:f[0]@g#h$i;j'k`l")),
        (".foo.3", Attribute(None, "foo.3")),
        (".duration", Attribute(None, "duration")),
        ("span.3x", Attribute("span", "3x")),
        ("span.resource.x", Attribute("span", "resource.x")),
        ("parent.x", Attribute(None, "x", of_parent=True)),
        ("parent.span.x", Attribute("span", "x", of_parent=True)),
        ("parent.event.x", Attribute(None, "event.x", of_parent=True)),
        ('span."a b".c', Attribute("span", "a b.c")),
        ('."foo.bar"', Attribute(None, "foo.bar")),
        (r'."a\"b\\"', Attribute(None, 'a"b\\')),
        ('."{ a && b }"', Attribute(None, "{ a && b }")),
    ],
)
def test_a_name_takes_all_up_to_its_end(text: str, attribute: Attribute) -> None:
    assert [token.node for token in tokens(text)] == [attribute, None]


@pytest.mark.parametrize("end", [" ", "\n", "{", "}", "(", ")", "=1", "~", "!", "<", ">", "&&", "|", "^", ","])
def test_a_name_ends_at(end: str) -> None:
    assert tokens(f".a.b{end}")[0].text == ".a.b"


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1h30m", 5_400_000_000_000),
        ("4.1ms", 4_100_000),  # int(4.1 * 1e6) is 4_099_999
        (".24h", 864_000_000_000),
        ("1d", 86_400_000_000_000),
        ("1y2w3d4h5m6s7ms", 33_019_506_007_000_000),
        ("15us", 15_000),
        ("15µs", 15_000),
        ("15μs", 15_000),
        ("0.0000000019s", 1),
        ("0s", 0),
    ],
)
def test_a_number_with_units_is_an_exact_duration(text: str, ns: int) -> None:
    assert value(text) == ns
    assert type(value(text)) is Duration


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1t", ["int", "word", "end"]),
        ("1.5d", ["float", "word", "end"]),
        ("1d1.5h", ["int", "word", "duration", "end"]),
        ("1h30", ["int", "word", "end"]),
        ("1e3s", ["float", "word", "end"]),
        ("1ms1s", ["duration", "end"]),  # Go takes units in any order
    ],
)
def test_what_neither_prometheus_nor_go_would_read_is_a_plain_number(text: str, found: list[str]) -> None:
    assert kinds(text) == found


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("007", 7), (str(MAX_INT), MAX_INT), ("maxInt", MAX_INT), ("minInt", MIN_INT), ("1.", 1.0),
     (".5", 0.5), ("1e3", 1000.0), ("1.5E-3", 0.0015)],
)  # fmt: skip
def test_numbers_are_decimal(text: str, number: float) -> None:
    assert value(text) == number
    assert type(value(text)) is type(number)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (r'"a\n\t\r\\\"\a\b\f\v"', 'a\n\t\r\\"\a\b\f\v'),
        (r'"\x41\u00e9\U0001F6D2\101"', "AéA"[:2] + "\U0001f6d2A"),
        (r'"\xc3\xa9"', "é"),  # bytes, as in Go
        (r'"\xff"', "\ufffd"),
        ("`\\n\r\n`", "\\n\n"),
        ('"é"', "é"),
    ],
)
def test_strings_have_the_escapes_of_go(text: str, meaning: str) -> None:
    assert value(text) == meaning


@pytest.mark.parametrize("escape", [r"\d", r"\'", r"\8", r"\400", r"\ud800", r"\U00110000", r"\x4", r"\u00"])
def test_an_escape_that_means_nothing_is_pointed_at(escape: str) -> None:
    with pytest.raises(TraceQLError) as refused:
        tokens(f'"ab{escape} "')
    assert refused.value.start == 3


def test_operators_are_as_long_as_they_can_be() -> None:
    text = "!>>!<<&>>&<<!==~!~>=<=&&||>><<!>!<&>&<&~"
    assert " ".join(kinds(text)[:-1]) == "!>> !<< &>> &<< != =~ !~ >= <= && || >> << !> !< &> &< &~"


def test_keywords_and_intrinsics_come_with_their_meaning() -> None:
    found = [token.node for token in tokens("true nil error server span:kind trace: duration name count")]
    assert found == [
        Static(True), Static(None), Static(StatusCode.ERROR), Static(Kind.SERVER),
        Intrinsic("kind"), Intrinsic("traceDuration"), Intrinsic("name"), None, None,
    ]  # fmt: skip


def test_comments_and_spaces_are_left_out() -> None:
    assert kinds(' \t\r\n{ // }\n /* "} */ } // end') == ["{", "}", "end"]


def test_tokens_know_where_they_stand() -> None:
    assert [(token.start, token.end) for token in tokens("{ .a  = 1s}")] == [
        (0, 1), (2, 4), (6, 7), (8, 10), (10, 11), (11, 11),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "x" * (MAX_CHARACTERS + 1),
        "{}" * MAX_TOKENS,
        "9" * 60_000,
        "9" * 60_000 + "s",
        '"\\' * 30_000,
        '."a' * 20_001,
        "/*" * 30_000,
        "`" * 30_001,
        "\ud800" * 30_000,
    ],
    ids=lambda text: text[:4].encode("unicode_escape").decode(),
)
def test_hostile_text_is_refused_in_linear_time(text: str) -> None:
    start = time.perf_counter()
    with pytest.raises(TraceQLError):
        tokens(text)
    lenient_tokens(text)
    assert time.perf_counter() - start < 2  # some 20 ms; minutes if it were quadratic


def outcome(text: str) -> list[Token] | TraceQLError:
    try:
        return tokens(text)
    except TraceQLError as error:
        return error


@pytest.mark.parametrize("byte", range(256))
def test_any_byte_again_and_again_is_tokens_or_refused(byte: int) -> None:
    found = outcome(chr(byte) * 50_000)
    if isinstance(found, TraceQLError):
        assert found.start < 50_000
    else:
        assert found[-1].kind == "end"


@given(st.text(st.characters(codec=None), max_size=40))
def test_any_text_is_tokens_or_refused(text: str) -> None:
    found = outcome(text)
    if isinstance(found, TraceQLError):
        assert str(found).encode(), "an error can be sent, even one about half a character"
    else:
        assert all(text[token.start : token.end] == token.text for token in found)


def test_lenient_tokens_go_on_behind_what_is_wrong() -> None:
    found = lenient_tokens("{ .a = 'x' && .b = 1 }")
    assert [token.kind for token in found] == [
        "{", "attribute", "=", "wrong", "&&", "attribute", "=", "int", "}", "end",
    ]  # fmt: skip
