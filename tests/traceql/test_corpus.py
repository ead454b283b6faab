"""The queries in `corpus/`: those that must be read, what they amount to, and what is said of those that are none.

A line is a query; with `⇒` and its canonical text, or with `# column: message`. `//` heads a group.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from minitrace.errors import TraceQLError
from minitrace.traceql.parser import parse

CORPUS = Path(__file__).parent / "corpus"
REFUSED = re.compile(r"(?P<query>.*\S)\s+# (?P<column>\d+): (?P<message>.*)")


def lines(name: str) -> list[str]:
    text = (CORPUS / f"{name}.traceql").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("// ")]


def refusals() -> list[tuple[str, int, str]]:
    found = [REFUSED.fullmatch(line) for line in lines("invalid")]
    return [(match["query"], int(match["column"]), match["message"]) for match in found if match]


@pytest.mark.parametrize("query", lines("valid"))
def test_a_valid_query_is_read_and_its_text_says_the_same(query: str) -> None:
    assert parse(str(parse(query))) == parse(query)


@pytest.mark.parametrize(("query", "canonical"), [line.split(" ⇒ ") for line in lines("canonical")])
def test_a_query_has_one_canonical_text(query: str, canonical: str) -> None:
    assert str(parse(query)) == canonical
    assert parse(canonical) == parse(query)


@pytest.mark.parametrize(("query", "column", "message"), refusals())
def test_an_invalid_query_is_refused_with_the_place_and_a_remedy(query: str, column: int, message: str) -> None:
    with pytest.raises(TraceQLError) as refused:
        parse(query)
    assert (refused.value.start, refused.value.message) == (column, message)


def test_every_line_of_the_corpus_is_run() -> None:
    assert len(lines("valid")) >= 150
    assert len(refusals()) == len(lines("invalid")) >= 100
