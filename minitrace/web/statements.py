"""SQL and JSON on lines of their own, as a person would write them.

Only white space is added or taken away, and none of it within quotes: what is shown can be copied and run. Both read
a text once from left to right: 64 kB take some milliseconds, whatever is in them.
"""

from __future__ import annotations

import json
import re

MAX_LENGTH = 65_536  # characters; longer texts stay as they are
MAX_DEPTH = 24  # deeper JSON would be mostly indentation
SHORT = 60  # characters that fit on a line of the panel, more or less

_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')
_OPENING, _CLOSING = frozenset("[{"), frozenset("]}")

_IS_SQL = re.compile(r"\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH|MERGE|REPLACE|EXPLAIN)\b", re.IGNORECASE)
_CLAUSE = r"""
    SELECT | FROM | WHERE | GROUP\s+BY | ORDER\s+BY | HAVING | WINDOW | LIMIT | OFFSET | FETCH | VALUES | SET
    | RETURNING | UNION(?:\s+ALL)? | INTERSECT | EXCEPT | ON\s+CONFLICT | ON\s+DUPLICATE\s+KEY | FOR\s+UPDATE
    | (?:(?:(?:LEFT|RIGHT|FULL)(?:\s+OUTER)?|INNER|CROSS|NATURAL)\s+)?JOIN
"""
# Each alternative matches at the first try or not at all: an unclosed quote goes to the end.
_SQL_TOKEN = re.compile(
    rf"""
    '(?:[^'\\]|\\.?)*(?:'|\Z) | "[^"]*(?:"|\Z) | `[^`]*(?:`|\Z) | /\*.*?(?:\*/|\Z) | --[^\n]*
    | (?P<bracket>[()])
    | \s+ (?: (?P<clause>{_CLAUSE})\b | (?P<joint>AND|OR)\b | (?P<between>BETWEEN)\b )?
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


def json_lines(text: str) -> str | None:
    """A JSON object or array with one member a line; None for anything else. Numbers and keys stay as they were."""
    if text.lstrip()[:1] not in _OPENING or len(text) > MAX_LENGTH:
        return None
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    return _indented(_JSON_TOKEN.findall(text))


def _indented(tokens: list[str]) -> str | None:
    written, depth, before = [], 0, ""
    for token in tokens:
        depth -= token in _CLOSING
        if before == "," or (before in _OPENING) != (token in _CLOSING):
            written.append("\n" + "  " * depth if before else "")
        elif before == ":":
            written.append(" ")
        written.append(token)
        depth += token in _OPENING
        if depth > MAX_DEPTH:
            return None
        before = token
    return "".join(written)


def sql_lines(text: str) -> str | None:
    """A statement with one clause a line, AND and OR indented; None for what is no SQL, short, or has lines already.

    What stands in brackets stays together.
    """
    if len(text) <= SHORT or len(text) > MAX_LENGTH or "\n" in text.strip() or not _IS_SQL.match(text):
        return None
    depth, is_range = 0, False

    def broken(token: re.Match[str]) -> str:
        nonlocal depth, is_range
        if token["bracket"]:
            depth += 1 if token["bracket"] == "(" else -1
        elif depth <= 0 and token["between"]:
            is_range = True
        elif depth <= 0 and token["joint"]:
            ends_range, is_range = is_range and token["joint"].upper() == "AND", False
            return token[0] if ends_range else f"\n  {token['joint']}"
        elif depth <= 0 and token["clause"] and not _belongs_to_word_before(token):
            return f"\n{token['clause']}"
        return token[0]

    return _SQL_TOKEN.sub(broken, text.strip())


def _belongs_to_word_before(token: re.Match[str]) -> bool:
    """DELETE FROM, IS DISTINCT FROM."""
    before = token.string[max(0, token.start() - 8) : token.start()].upper()
    return before.endswith(("DELETE", "DISTINCT"))
