"""SQL and JSON on lines of their own."""

from __future__ import annotations

import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.web.statements import MAX_LENGTH, json_lines, sql_lines

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            '{"a":[1,{"b":{}},[]],"c":"x,{"}',
            '{\n  "a": [\n    1,\n    {\n      "b": {}\n    },\n    []\n  ],\n  "c": "x,{"\n}',
        ),
        (" [1.00, 1e5]", "[\n  1.00,\n  1e5\n]"),  # numbers as they were written
        ('{"a":1,"a":2}', '{\n  "a": 1,\n  "a": 2\n}'),  # both of a key that is there twice
        ("{}", "{}"),
    ],
)
def test_json_has_one_member_a_line(text: str, lines: str) -> None:
    assert json_lines(text) == lines


@pytest.mark.parametrize("text", ["", "1", '"a"', "{a}", '{"a":1', "{} {}", "[" * 30 + "]" * 30, "[" * 60_000])
def test_what_is_no_json_to_read_stays_as_it_is(text: str) -> None:
    assert json_lines(text) is None


@given(st.lists(JSON, max_size=3) | st.dictionaries(st.text(), JSON, max_size=3))
def test_json_on_lines_is_what_the_standard_library_writes(value: object) -> None:
    assert json_lines(json.dumps(value)) == json.dumps(value, indent=2)


LONG = "x" * 60


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "SELECT on_hand, reserved FROM stock WHERE sku = ? AND place = 'ROT-1' OR a=1 order by b LIMIT 1",
            "SELECT on_hand, reserved\nFROM stock\nWHERE sku = ?\n  AND place = 'ROT-1'\n  OR a=1\norder by b\nLIMIT 1",
        ),
        (
            f"SELECT {LONG} FROM a LEFT OUTER JOIN b ON a.x = b.x JOIN c USING (x)",
            f"SELECT {LONG}\nFROM a\nLEFT OUTER JOIN b ON a.x = b.x\nJOIN c USING (x)",
        ),
        (
            f"SELECT {LONG} WHERE a IN (SELECT b FROM c WHERE d AND e) AND f",
            f"SELECT {LONG}\nWHERE a IN (SELECT b FROM c WHERE d AND e)\n  AND f",
        ),
        (
            f"SELECT ' FROM it''s WHERE ', \" FROM \", {LONG} FROM a",
            f"SELECT ' FROM it''s WHERE ', \" FROM \", {LONG}\nFROM a",
        ),
        (f"SELECT {LONG} /* FROM a */ FROM b", f"SELECT {LONG} /* FROM a */\nFROM b"),
        (f"DELETE FROM {LONG} WHERE a IS DISTINCT FROM b", f"DELETE FROM {LONG}\nWHERE a IS DISTINCT FROM b"),
        (f"SELECT {LONG} WHERE a BETWEEN 1 AND 2 AND b", f"SELECT {LONG}\nWHERE a BETWEEN 1 AND 2\n  AND b"),
        (
            "INSERT INTO orders (id, note) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET note = $2 RETURNING id",
            "INSERT INTO orders (id, note)\nVALUES ($1, $2)\nON CONFLICT (id) DO UPDATE\nSET note = $2\nRETURNING id",
        ),
    ],
)  # fmt: skip
def test_sql_has_one_clause_a_line(text: str, lines: str) -> None:
    assert sql_lines(text) == lines


@pytest.mark.parametrize("text", ["SELECT 1 FROM a", f"SELECT {LONG}\nFROM a", f"GET {LONG} FROM a", ""])
def test_short_statements_and_those_with_lines_stay_as_they_are(text: str) -> None:
    assert sql_lines(text) is None


@given(
    st.lists(st.sampled_from(["FROM", "AND", "'", '"', "`", "(", ")", "/*", "*/", "\\", "--", "x", "BETWEEN", "\t"]))
)
def test_sql_changes_nothing_but_white_space(words: list[str]) -> None:
    text = f"SELECT {LONG} {' '.join(words)}"
    assert re.sub(r"\s+", " ", sql_lines(text) or "") == re.sub(r"\s+", " ", text.strip())


def test_a_quote_is_not_broken_even_if_it_ends_nowhere() -> None:
    assert sql_lines(f"SELECT {LONG} 'a FROM b") == f"SELECT {LONG} 'a FROM b"


@pytest.mark.parametrize("part", ["'", "'\\", '"', "/*", "(", " ", "LEFT  ", "a AND ", "--", "{", '["', "\\"])
def test_no_text_takes_long(part: str) -> None:
    text = f"SELECT {part * MAX_LENGTH}"[:MAX_LENGTH]
    began = time.process_time()
    sql_lines(text)
    json_lines("[" + text)
    assert time.process_time() - began < 0.5  # linear: some 20 ms; quadratic: minutes
