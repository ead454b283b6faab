"""Patterns mean what they mean in RE2, with either engine, and none keeps a query or a thread waiting."""

from __future__ import annotations

import ast
import threading
from contextlib import suppress
from pathlib import Path
from time import monotonic, process_time

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import minitrace
from minitrace.errors import QueryTimeout
from minitrace.traceql.patterns import (
    VALUE_BUDGET_S,
    Engine,
    PatternError,
    PatternTimeout,
    RegexEngine,
    compile_pattern,
    engines,
)
from minitrace.traceql.re2_syntax import MAX_CHARACTERS, MAX_DEPTH, read

ENGINES = engines()
with_each_engine = pytest.mark.parametrize("engine", ENGINES)
KELVIN, LONG_S = "\u212a", "\u017f"

YES = [
    # the whole value, and a dot is any character
    ("foo", "foo"),
    ("", ""),
    ("a|", ""),
    (".*", "a\nb"),
    ("a.b", "a\nb"),
    (".", "\U0001f600"),
    ("^foo$", "foo"),
    ("^^foo$$", "foo"),
    ("^a|b$", "b"),
    (r"\Afoo\z", "foo"),
    ("(^foo|bar)x?", "foo"),
    (r"a\nb", "a\nb"),
    ("(?m)a$\n^b", "a\nb"),
    ("(?m:^a$).(?m:^b$)", "a\nb"),
    # flags
    ("(?i)get /", "GET /"),
    ("a(?i)b", "aB"),
    ("(?:(?i)a)b", "Ab"),
    ("(?:(?i)a|b)c", "Bc"),
    ("(?i:a)b", "Ab"),
    ("(?i)a(?-i)b", "Ab"),
    ("(?-s:.)x", "ax"),
    ("(?s-i:.)", "\n"),
    ("(?U)a+", "aaa"),
    ("(?ims)A.B", "a\nb"),
    ("(?i)ÀÉ", "àé"),
    ("(?i)k", KELVIN),
    ("(?i)s", LONG_S),
    ("(?i)[a-z]", KELVIN),
    ("(?i)[[:upper:]]", LONG_S),
    (r"(?i)\p{Lu}", "a"),
    (r"(?i)\w", KELVIN),
    ("(?i)σ", "ς"),
    ("(?i)ı", "ı"),
    # groups
    ("(?P<name>a+)b", "aab"),
    ("(?<name>a+)b", "aab"),
    ("(a(b(c)))", "abc"),
    ("()", ""),
    # repetitions
    ("a{3}", "aaa"),
    ("a{2,}", "aaaaa"),
    ("a{2,3}?", "aaa"),
    ("a{0}b", "b"),
    ("a{,2}", "a{,2}"),
    ("a{01}", "a{01}"),
    ("a{x}", "a{x}"),
    ("a{", "a{"),
    ("(?:a*)*", "aaa"),
    ("(a|b*)*c", "abbac"),
    (r"\b*a", "a"),
    ("(?:){3}a", "a"),
    ("a(?i)*", "aaa"),
    (".{1000}", "é" * 1000),
    # classes
    (r"\d+", "0123456789"),
    (r"\s{5}", "\t\n\f\r "),
    (r"\w+", "aZ_9"),
    (r"\W", "é"),
    (r"[\d-z]+", "1-z"),
    ("[]a]+", "]a"),
    ("[^]a]", "b"),
    ("[a-]+", "a-"),
    ("[--/]", "."),
    ("[a-b-c]+", "a-c"),
    ("[[:alpha:]_]+", "aZ_"),
    ("[[:^digit:]]", "é"),
    ("[[:word:]]+", "a_1"),
    ("[[:space:]]", "\v"),
    ("[[:alpha]+", "[:alph"),
    ("[[.a.]]", ".]"),
    ("[a&&b]+", "a&b"),
    ("[a||b~~c]+", "a|b~c"),
    ("[^\\x00-\\x{10FFFF}]|a", "a"),
    ("[^a]", "\n"),
    (r"\pL+", "aéλ漢"),
    (r"\PL", "1"),
    (r"\pZs", "\u2028s"),
    (r"\p{Greek}+", "λόγος"),
    (r"\p{^Greek}", "a"),
    (r"\P{^Greek}", "λ"),
    (r"[\p{Lu}\p{Nd}]+", "A٣"),
    (r"[^\PL]", "é"),
    (r"\p{Any}", "\U0010fffd"),
    # escapes
    (r"\Qa.b*\E+", "a.b**"),
    (r"\Q[(\\", "[(\\\\"),
    (r"\x41\x{1F600}\101\0", "A\U0001f600A\0"),
    (r"\a\f\t\n\r\v", "\a\f\t\n\r\v"),
    (r"\.\*\_\-\/", ".*_-/"),
    ("\\\n", "\n"),
    ("a\0b", "a\0b"),
    ("é+", "éé"),
    # what ``regex`` would read otherwise
    ("a{e}", "a{e}"),
    ("(?:a){e<=1}", "a{e<=1}"),
    ("[[a]b]", "[b]"),
    ("#x y", "#x y"),
    # boundaries are between ASCII letters and the rest
    (r"a\b.*", "aé"),
    (r"\bfoo\b", "foo"),
    (r"a\Bb", "ab"),
    (r"é\Bé", "éé"),
]
NO = [
    ("foo", "foobar"),
    ("bar", "foobar"),
    ("a|b", "ab"),
    ("", "a"),
    ("a$", "a\n"),
    ("^a|b$", "ab"),
    (r"a\z", "a\n"),
    ("a^b", "ab"),
    ("(?-s).", "\n"),
    ("foo", "FOO"),
    ("(?i)i", "İ"),
    ("(?i)I", "ı"),
    ("(?i)[a-z]", "ı"),
    ("(?i)ß", "ss"),
    (r"(?i)\W", KELVIN),
    ("(?i)[^k]", KELVIN),
    ("(?:(?i)a)b", "AB"),
    (r"\d", "٣"),
    (r"\s", "\v"),
    (r"\s", "\u00a0"),
    (r"\w", "é"),
    (r"\b.", "é"),
    ("[[:alpha:]]", "é"),
    (r"\pN", "a"),
    (r"\pC", "\u0378"),
    (r"\P{Any}", "a"),
    ("[^\\x00-\\x{10FFFF}]", "a"),
    (r"\x{D800}", "\ud800"),
    (".", "\ud800"),
    ("[^a]", "\udfff"),
    ("a{0}", "a"),
    ("a{2,3}", "aaaa"),
    (r"\Qa.b\E", "axb"),
    ("a", "a\0"),
    ("[a&&b]", "&&"),
    ("(?:a){e<=1}", "b"),
]


@with_each_engine
@pytest.mark.parametrize(
    ("pattern", "value", "expected"), [(*row, True) for row in YES] + [(*row, False) for row in NO]
)
def test_a_pattern_means_what_it_means_in_re2(pattern: str, value: str, expected: bool, engine: type[Engine]) -> None:
    assert compile_pattern(pattern, engine).matches(value) is expected
    assert engine(pattern, read(pattern)).matches(value, monotonic() + 1) is expected  # no shortcut before it


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("foo(?=bar)", r'"\(\?=" at character 4 of the pattern: look-ahead is not part of RE2'),
        ("foo(?!bar)", r'"\(\?!" at character 4 of the pattern: look-ahead is not part of RE2: .* with !~'),
        ("(?<=a)b", r'"\(\?<=" at character 1 of the pattern: look-behind is not part of RE2'),
        ("(?<!a)b", "look-behind is not part of RE2: .* with !~"),
        ("(?>a+)", r"atomic groups are not part of RE2, which never backtracks: write \(\?:"),
        ("(?|a|b)", "branch resets are not part of RE2"),
        ("(?(1)a|b)", "conditionals are not part of RE2: write both cases"),
        ("(?#note)", "comments are not part of RE2: leave it out"),
        ("(a)(?P=n)", "back-references are not part of RE2"),
        (r"(a)\1", r'"\\1" at character 4 of the pattern: back-references are not part of RE2'),
        (r"\8", "back-references are not part of RE2"),
        (r"\k<n>", "back-references are not part of RE2"),
        ("(?P>n)", "recursion is not part of RE2"),
        ("(?R)", "recursion is not part of RE2"),
        ("(?1)", "recursion is not part of RE2"),
        ("(?-1)", "recursion is not part of RE2"),
        ("(?&n)", "recursion is not part of RE2"),
        ("(?x) a", "the flag x is not part of RE2"),
        ("(?'n'a)", "name a group as "),
        ("(?P<a b>c)", "a group's name is of ASCII letters"),
        ("(?P<>c)", "a group's name is of ASCII letters"),
        ("(?P<n", "a group's name is of ASCII letters"),
        ("(?z)", r'"\(\?z" at character 1 of the pattern: the flags are i, m, s and U'),
        ("(?i", "the flags are i, m, s and U"),
        ("(?i--s)", "the flags are i, m, s and U"),
        ("(?i-)", 'no flag follows "-"'),
        ("(?-:a)", 'no flag follows "-"'),
        ("a++", r'"\+\+" at character 2 of the pattern: possessive repetitions are not part of RE2'),
        ("a{2}+", "possessive repetitions are not part of RE2"),
        ("xa**", r'"\*\*" at character 3 of the pattern: bad repetition operator'),
        ("a?{2}", "bad repetition operator"),
        ("a{2}{3}", "bad repetition operator"),
        ("*a", r'"\*" at character 1 of the pattern: there is nothing to repeat'),
        ("a|+", "nothing to repeat"),
        ("(?i)*", "nothing to repeat"),
        ("({2})", "nothing to repeat"),
        ("a{1001}", r'"\{1001\}" at character 2 of the pattern: more than 1000 repetitions'),
        ("a{1,99999999999}", "more than 1000 repetitions"),
        ("(a{100}){11}", "repetitions in one another make more than 1000"),
        ("(?:a{2,}){501}", "repetitions in one another make more than 1000"),
        ("a{3,2}", "the least is more than the most"),
        ("(abcdefghij){1000}", "written out, its repetitions are too large"),
        ("(?:a" * 20 + ")+" * 20, "written out, its repetitions are too large"),
        ("a{900}" * 12, "written out, it is too large: split it with"),
        (r"(?i)\pL\PL" * 100, "written out, it is too large: split it with"),
        ("(a", r'"\(" at character 1 of the pattern: it is never closed: add "\)"'),
        ("a)", r'"\)" at character 2 of the pattern: no "\(" is open'),
        ("[a", 'it is never closed: add "]"'),
        ("[]", 'it is never closed: add "]"'),
        ("[a-", 'it is never closed: add "]"'),
        ("x[z-a]", '"z-a" at character 3 of the pattern: the range ends before it begins'),
        ("[[:foo:]]", "no such class: there are alnum, alpha"),
        (r"[a-\d]", "no such escape"),
        (r"[\b]", r"a backspace is \\x08"),
        (r"\pQ", r"no such Unicode category or script: write \\pL"),
        (r"\p{latin}", "no such Unicode category or script"),
        (r"\p{Lu", 'it is never closed: add "}"'),
        (r"\p", "no such Unicode category or script"),
        (r"\C", "single bytes are not matched here"),
        (r"\y", r"no such escape: write y, or \\\\y"),
        (r"\é", "no such escape"),
        (r"\Z", r"write \\z"),
        (r"\G", r"\\G is not part of RE2"),
        (r"\u0041", r"write \\x\{2603\} for U\+2603"),
        (r"a\E", r"there is no \\Q before it"),
        (r"\xg1", "write two hexadecimal digits"),
        (r"\x4", "write two hexadecimal digits"),
        (r"\x{}", "write two hexadecimal digits"),
        (r"\x{110000}", "write two hexadecimal digits"),
        ("\\", "a backslash at the end escapes nothing"),
        ("a\ud800", r'"\\x\{D800\}" at character 2 of the pattern: half of a surrogate pair'),
        ("a" * (MAX_CHARACTERS + 1), "it has 1001 characters; the limit is 1000"),
        ("(" * 1000, "groups are more than 64 deep"),
        ("(" * 500 + ")" * 500, "groups are more than 64 deep"),
    ],
)
def test_what_is_not_re2_is_refused_with_what_to_write_instead(pattern: str, message: str) -> None:
    with pytest.raises(PatternError, match=message) as caught:
        compile_pattern(pattern)
    assert 0 <= caught.value.position < len(pattern)


@with_each_engine
def test_the_deepest_groups_allowed_can_be_compiled_and_matched(engine: type[Engine]) -> None:
    deep = "(a|x" * MAX_DEPTH + ")*" * MAX_DEPTH
    assert compile_pattern(deep, engine).matches("a")


@with_each_engine
@pytest.mark.parametrize("pattern", [r".*\pL{500}", r"((\pL{10}){10}){10}", r"(?i)(\p{Lu}{5}){8}.*"])
def test_what_is_too_large_for_one_engine_is_matched_all_the_same(pattern: str, engine: type[Engine]) -> None:
    assert compile_pattern(pattern, engine).among(["é" * 1000, "1" * 1000]) == [True, False]


@pytest.mark.parametrize(
    ("pattern", "prefix"),
    [
        ("GET /.*", "GET /"),
        (r"GET\ \/v[0-9]", "GET /v"),
        ("^foo.*$", "foo"),
        ("foo(bar)?", "foo"),
        ("foo(bar)+x", "foobar"),
        ("foo{2}x", "foo"),
        ("ab*", "a"),
        ("(abc|abd)e+", "ab"),
        (r"\bfoo.*", "foo"),
        ("[.]a[bc]", ".a"),
        (r"\Q.*\E.*", ".*"),
        ("(?i)get.*", ""),
        ("(?i)/v1.*", "/"),
        ("/a(?i)b", "/a"),
        ("a|b.*", ""),
        (".*", ""),
        ("a{0}bc+", "bc"),
    ],
)
def test_the_prefix_is_all_that_every_match_begins_with(pattern: str, prefix: str) -> None:
    assert compile_pattern(pattern).prefix == prefix


@pytest.mark.parametrize(
    ("pattern", "alternatives"),
    [
        ("foo", ("foo",)),
        ("a|b|c", ("a", "b", "c")),
        ("^(a|b)$", ("a", "b")),
        (r"a\.b|c[.]d", ("a.b", "c.d")),
        (r"\Qa|b\E", ("a|b",)),
        ("(a|b)(c|d)", ("ac", "ad", "bc", "bd")),
        ("a||a", ("a", "")),
        ("", ("",)),
        (r"\x{D800}|a", ("a",)),
        ("(?i)a", None),
        ("(?i)1", ("1",)),
        ("a?", None),
        ("a|b.", None),
        ("(?m)a^", None),
        ("(^)a", ("a",)),
        ("(^b|c)a", None),
        ("(a|b)" * 9, None),  # 512 of them
    ],
)
def test_alternatives_are_all_that_matches_or_not_known(pattern: str, alternatives: tuple[str, ...] | None) -> None:
    assert compile_pattern(pattern).alternatives == alternatives


PIECES = [*"abkS|()*+?.^$_-1", "é", "K", " ", "\n", r"\d", r"\W", r"\s", r"\b", r"\B", r"\pL", r"\P{Lu}", r"\p{Greek}"]
PIECES += [
    "(?i)",
    "(?:",
    "(?m:",
    "(?-s)",
    "[a-k]",
    "[^ab]",
    r"[^\PL1]",
    "[[:upper:]é]",
    "{2}",
    "{0,2}",
    "{1,}",
    r"\Q.\E",
]
values = st.text(st.sampled_from([*"abkKS_1 -.\nésſı", KELVIN, "λ", "\0"]), max_size=8)


@pytest.mark.skipif(len(ENGINES) == 1, reason="google-re2 is not installed")
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), st.lists(values, min_size=1, max_size=20))
@example("(a?b??)*", ["ab", "ba", "b"])
@example("(|a)+b", ["aab"])
def test_both_engines_agree(pattern: str, some: list[str]) -> None:
    try:
        syntax = read(pattern)
    except PatternError:
        assume(False)
    one, other = (engine(pattern, syntax) for engine in ENGINES)
    end = monotonic() + 5
    expected = [one.matches(value, end) for value in some]
    assert [other.matches(value, end) for value in some] == expected
    assert compile_pattern(pattern).among(some) == expected
    for value, matched in zip(some, expected, strict=True):
        assert not matched or value.startswith(syntax.prefix)
        assert syntax.alternatives is None or (value in syntax.alternatives) == matched


A = "a" * 100_000
URL = "https://example.com/" + "a/" * 50_000
EXPLODING = [
    ("(a+)+$", A + "!"),
    ("(a|a)*b", A),
    ("(a|aa)+b", A),
    ("(.*)*x", A),
    ("(a*)*b", A),
    ("(a*)+b", A),
    ("(a+)+b", A),
    ("(a?){50}a{50}", A),
    ("a*a*a*a*a*b", A),
    (".*.*.*.*=", A),
    ("(x+x+)+y", "x" * 100_000),
    ("([a-zA-Z]+)*1", A),
    ("(a|b|ab)*c", "ab" * 50_000),
    ("(.*a){20}", "a" * 10 + "b" * 100_000),
    ("(.+)+=.+", A),
    (r"(\w+\s?)*!", "word " * 20_000),
    (r"(\w+)*@(\w+)*\.com", A),
    (r"^(([a-z])+.)+[A-Z]([a-z])+$", A),
    (r"(\d+)*x", "1" * 100_000),
    (r"([^\n]*\n?)*x", "a\n" * 50_000),
    (r"(?:\pL+)*1", "é" * 50_000),
    (r"(?i)(?:k+s?)*!", "Ks" * 50_000),
    (r"https?://([^/]+/)*x", URL),
    (r"(/?[a-z]*)*\?", URL),
    ("((a+)*)*b", A),
    ("((a|b)*c?)*d", "ab" * 50_000),
    (".*a.{200}b", A),
    (".*a[ab]{900}c", "ab" * 50_000),
    ("(a|b)*a(a|b){900}c", "abb" * 33_000),
    (r"(?:.*,){11}P", "1," * 50_000),
    (r"(\b\w+\b ?)*\?", "word " * 20_000),
    ("(a{0,30}){30}b", A),
    (r".*\pL{500}x", "é" * 50_000),
    (r"(?i)(?:[^a]{9}|\P{Lu}){9}", "é" * 50_000),
]


class Ticking(threading.Thread):
    """Another thread that wants to go on: how long was it kept from it, at the longest?"""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.stop = threading.Event()
        self.gap_s = 0.0

    def run(self) -> None:
        before = monotonic()
        stopped = False
        while not stopped:  # the last gap counts too: who waits until the end is only then let in
            stopped = self.stop.wait(0.001)
            now = monotonic()
            self.gap_s, before = max(self.gap_s, now - before), now


def longest_gap_s(pattern: str, value: str, engine: type[Engine], budget_s: float) -> tuple[float, float]:
    """How long the pattern took, compiling included, and the longest that another thread stood still."""
    ticking = Ticking()
    ticking.start()
    start = monotonic()
    with suppress(PatternTimeout):
        compile_pattern(pattern, engine).among([value], budget_s)
    took_s = monotonic() - start
    ticking.stop.set()
    ticking.join()
    return took_s, ticking.gap_s


@with_each_engine
@pytest.mark.parametrize(("pattern", "value"), EXPLODING, ids=[pattern for pattern, _ in EXPLODING])
def test_no_pattern_keeps_its_query_or_another_thread_waiting(pattern: str, value: str, engine: type[Engine]) -> None:
    for _ in range(10):  # a busy machine interrupts us too, but not each time
        compile_pattern.cache_clear()
        took_s, gap_s = longest_gap_s(pattern, value, engine, budget_s=0.1)
        if took_s < 0.2 + VALUE_BUDGET_S and gap_s < 0.05:
            return
    pytest.fail(f"took {took_s:.3f} s; another thread stood still for {gap_s * 1000:.0f} ms")


def test_a_pattern_that_explodes_is_named_after_a_quarter_of_a_second() -> None:
    start = process_time()  # by which ``regex`` counts
    with pytest.raises(QueryTimeout, match=r"^the pattern '\(a\+\)\+\$' took too long: make it simpler"):
        compile_pattern("(a+)+$", RegexEngine).matches(A + "!")
    assert process_time() - start < VALUE_BUDGET_S + 0.25


@with_each_engine
def test_many_values_together_have_a_budget_too(engine: type[Engine]) -> None:
    start = monotonic()
    with pytest.raises(PatternTimeout):
        compile_pattern(".*[ab]x", engine).among([A] * 10_000, budget_s=0.1)
    assert monotonic() - start < 0.5


@with_each_engine
def test_among_gives_one_answer_for_each_value_in_order(engine: type[Engine]) -> None:
    names = ["GET /", "POST /", "", "GET /\ud800", "GET /é", "get /", "GET /"]
    assert compile_pattern("GET .*", engine).among(names) == [True, False, False, False, True, False, True]
    assert compile_pattern("GET /|", engine).among(names) == [True, False, True, False, False, False, True]


def test_a_pattern_is_compiled_once() -> None:
    assert compile_pattern("GET /.*") is compile_pattern("GET /.*")
    assert compile_pattern("GET /.*").text == "GET /.*"


def test_re2_is_the_engine_where_it_is_installed() -> None:
    assert type(compile_pattern("a+")._engine) is ENGINES[0]
    assert ENGINES[-1] is RegexEngine


ROOT = Path(minitrace.__file__).parent


def given_to_re(source: str) -> list[str]:
    """The calls of ``re`` within functions whose pattern is not written there as a string.

    What stands outside of functions is compiled before there is a user. ``re`` has no other name.
    """
    tree = ast.parse(source)
    found = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "re"]
    found += [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import) and any(name.name == "re" and name.asname for name in node.names)
    ]
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    ]
    calls = [node for function in functions for node in ast.walk(function) if isinstance(node, ast.Call)]
    return found + [ast.unparse(node) for node in calls if re_without_constant(node)]


def re_without_constant(node: ast.Call) -> bool:
    if not isinstance(node.func, ast.Attribute) or ast.unparse(node.func.value) != "re":
        return False
    return not (node.args and isinstance(node.args[0], ast.Constant))


@pytest.mark.parametrize("part", ["traceql", "store"])
def test_no_pattern_of_a_user_reaches_re(part: str) -> None:
    modules = sorted((ROOT / part).rglob("*.py"))
    assert modules
    calls = {call for path in modules for call in given_to_re(path.read_text())}
    made_of_letters = r"re.compile(f'\\b(?:{alternatives})[0-9]+')"  # of tokens, which are made of numbers
    assert calls <= {made_of_letters}


@pytest.mark.parametrize(
    "source",
    [
        "def f(text): re.compile(text)",
        "def f(text): re.match(text, 'a')",
        "from re import compile",
        "import re as r",
        "async def f(text): return [re.search(f'{text}', 'a')]",
        "f = lambda text: re.compile(pattern=text)",
    ],
)
def test_this_test_would_see_a_pattern_given_to_re(source: str) -> None:
    assert given_to_re(source)
    assert not given_to_re(
        "import re\nA = re.compile(B)\ndef f(text): return re.match('a+', text), regex.compile(text)"
    )
