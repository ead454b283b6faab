"""What alike spans have in common: their statement, URL or name, without what differs from one to the next.

```
span                                            signature                             label
SELECT * FROM stock WHERE sku IN ('A-1', 'B')   SELECT * FROM stock WHERE sku IN (?)  SELECT stock
GET http://users:80/users/42?full=1             GET users:80/users/{id}               GET /users/{id}
GET cart:62990 (Redis)                          GET cart:?                            GET cart:?
pack order 4711                                 pack order {id}                       pack order {id}
```

These texts are anybody's, and a trace can have 50 000. So they are cut, patterns are linear (possessive where they
repeat), and what was read once is remembered: most statements and names come again.
"""

from __future__ import annotations

import re
from functools import lru_cache

from minitrace.model import Kind, Span

LONGEST_TEXT = 2_000  # what comes after it cannot tell spans apart
LONGEST_LABEL = 60
REMEMBERED = 2_048  # texts; with their keys about 8 MB at worst

_SUMMARY = ("db.query.summary",)
_STATEMENT = ("db.query.text", "db.statement", *_SUMMARY)
_SYSTEM = ("db.system.name", "db.system")
_METHOD = ("http.request.method", "http.method")
_URL = ("url.full", "http.url", "url.path", "http.target")
# All that is looked at, for who loads spans with some of their attributes only.
ATTRIBUTES = (*_STATEMENT, *_SYSTEM, *_METHOD, "url.template", *_URL)

_KEY_VALUE_STORES = {"redis", "valkey", "memcached"}


def signature(span: Span) -> str:
    """A text that alike spans share, whatever ids and literals they have; not for people, see `label`."""
    if not span.attributes:
        return _of_name(span.name[:LONGEST_TEXT])  # the quick way: nothing but names is loaded
    if text := _first(span, _STATEMENT):
        return _without_key(text) if _has_keys(span) else _without_literals(text)
    host, path = _address(span)
    return f"{_first(span, _METHOD)} {host}{path}" if path else _of_name(span.name[:LONGEST_TEXT])


def text(span: Span) -> str:
    """Its statement, URL or name as it is, of which a signature leaves out literals and ids; cut."""
    url = _first(span, _URL)
    called = f"{_first(span, _METHOD)} {url}".strip() if url else ""
    return _first(span, _STATEMENT) or called or span.name[:LONGEST_TEXT]


def label(span: Span) -> str:
    """What to call spans of this signature: ``SELECT stock``, ``GET /users/{id}``; one short line."""
    name = without_ids(span.name[:LONGEST_TEXT])
    if _statement(span):
        text = signature(span)
        return shortened(_first(span, _SUMMARY) or (text if _has_keys(span) else _verb_and_table(text)) or name)
    _, path = _address(span)
    return shortened(f"{_first(span, _METHOD)} {path}" if path else name)


def is_call(span: Span) -> bool:
    """Whether it waits for somebody else: a client's span, or a database statement of any kind."""
    return span.kind == Kind.CLIENT or bool(_statement(span))


def shortened(text: str) -> str:
    """A text on one line, cut to 60 characters."""
    line = " ".join(text[:LONGEST_TEXT].split())
    return line if len(line) <= LONGEST_LABEL else f"{line[: LONGEST_LABEL - 1]}…"


def _first(span: Span, names: tuple[str, ...]) -> str:
    """The first of these attributes that is a text with something in it, cut; "" for none."""
    for name in names:
        value = span.attributes.get(name)
        if value and isinstance(value, str):
            return value[:LONGEST_TEXT]
    return ""


# Statements

# Some instrumentations put the whole statement into the name. "Select a gift" is none.
_IS_SQL = re.compile(
    r"\s*(?:SELECT\b.*\bFROM|WITH\b.*\bSELECT|INSERT\s+INTO|UPDATE\b.*\bSET|DELETE\s+FROM)\b", re.I | re.S
)

_PARTS = re.compile(
    r"""
    (?=[-/"`'\d=<>:@$%])  # with this first, a search skips what begins none of these: five times as fast
    (?:
    (?P<comment> --[^\n]*+ | /\*(?:[^*]|\*(?!/))*+(?:\*/)? )
    # "x" is a name in standard SQL, but a value in MySQL and JSON: what follows an operator, and has no column
  | (?P<operator> [=<>:]\s*+ ) "(?:[^"\\]|\\.)*+"(?!\.)
  | (?P<name> "[^"]*+"? | `[^`]*+`? )
  | (?P<value>
        '(?:[^'\\]|\\.|'')*+'?
      | (?<!\w)-?(?:0x[0-9a-f]++|\d[\w.]*+)
      | (?<![\w:@$])(?:\$\d++|[:@][a-z_]\w*+) | %\(\w++\)s | %s  # placeholders; ::text is a cast
    ))
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
# A text that was cut ends within a list.
_LIST = re.compile(r"\( ?\?(?: ?, ?\?)*+ ?,? ?(?:\)|$)")
_IN = re.compile(r"\bIN ?\((?! ?SELECT\b)[^()]*+(?:\)|$)", re.IGNORECASE)
_ROWS = re.compile(r"\(\?\)(?: ?, ?\(\?\))++")

_VERB = re.compile(
    r"\b(?:SELECT|INSERT|UPDATE|DELETE|MERGE|REPLACE|CALL|EXEC|CREATE|ALTER|DROP|TRUNCATE)\b", re.IGNORECASE
)
_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE|TABLE|CALL|EXEC)\s+([\w.\"`\[\]]+)", re.IGNORECASE)

_QUOTES = re.compile(r"[\"`\[\]]")


def _statement(span: Span) -> str:
    """Its database statement, wherever that stands; "" for none."""
    text = _first(span, _STATEMENT)
    return text or (span.name[:LONGEST_TEXT] if _is_sql(span.name[:LONGEST_TEXT]) else "")


@lru_cache(REMEMBERED)
def _of_name(name: str) -> str:
    return _without_literals(name) if _is_sql(name) else without_ids(name)


@lru_cache(REMEMBERED)
def _is_sql(name: str) -> bool:
    return bool(_IS_SQL.match(name))


@lru_cache(REMEMBERED)
def _without_literals(statement: str) -> str:
    text = " ".join(_PARTS.sub(_put_out, statement).split())
    return _ROWS.sub("(?)", _IN.sub("IN (?)", _LIST.sub("(?)", text)))


def _put_out(found: re.Match[str]) -> str:
    if found.lastgroup == "comment":
        return " "
    if found.lastgroup == "name":
        return found[0]
    return f"{found['operator'] or ''}?"


def _has_keys(span: Span) -> bool:
    return _first(span, _SYSTEM) in _KEY_VALUE_STORES


def _without_key(command: str) -> str:
    """``GET cart:62990`` is ``GET cart:?``: what stands before a key's first colon is its kind."""
    words = command.split(maxsplit=2)
    if len(words) < 2:
        return command.strip()
    kind, colon, _ = words[1].partition(":")
    return f"{words[0]} {kind}:?" if colon else f"{words[0]} ?"


@lru_cache(REMEMBERED)
def _verb_and_table(statement: str) -> str:
    """``SELECT stock``; "" where it names no table."""
    verb, table = _VERB.search(statement), _TABLE.search(statement)
    if not (verb and table):
        return ""
    return f"{verb[0].upper()} {_QUOTES.sub('', table[1]).rpartition('.')[2]}"


# Addresses and names

_PLACE = re.compile(r"(?:[a-z][\w+.-]*+://([^/?#]*+))?([^?#]*+)", re.IGNORECASE)

_ID = re.compile(
    r"""
    (?<![^\s/:=\#,;(\[])
    (?: \d++
      | [0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}
      | (?=[a-f]*+\d)[0-9a-f]{8,}+
      # In a path, what looks like base64: 16 characters or more, with digits in two places.
      | (?<=/)(?=[\w=~-]{16})(?:[a-z_=~-]*+\d++){2}[\w=~-]*+
    )
    (?![^\s/:,;)\]?&])
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)


def _address(span: Span) -> tuple[str, str]:
    """Whom a client's span asked by HTTP, and the path without ids; two empty texts where it did not."""
    if span.kind != Kind.CLIENT:
        return "", ""
    template, url = _first(span, ("url.template",)), _first(span, _URL)
    if not (template or url):
        return "", ""
    found = _PLACE.match(url)
    host, path = (found[1] or "", found[2]) if found else ("", "")
    return host, template or without_ids(path) or "/"


@lru_cache(REMEMBERED)
def without_ids(text: str) -> str:
    """A name or path with ``{id}`` for what numbers and ids are in it."""
    return _ID.sub("{id}", text)
