"""How a line of a shape is written: names, values, filters and counts as characters.

line  = "..." | ["?"] [name (key "=" value)*] ["{" … "}"] ["x" count] ["(in order)"] ["#" remark]
count = number | number ".." [number]

A name ends where the rest of the line can be read as what follows a name. So most names stand as they are, ``GET
/items/{id}`` and ``OrdersController#show``, too: a filter and a remark begin behind a space.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache

from minitrace import present
from minitrace.model import Value

STRING = r'"(?:[^"\\]|\\.)*+"'
_KEY = r"[^\W\d][\w.:/-]*+"
_VALUE = rf'(?:{STRING}|[^\s"{{#]\S*+)'
FILTER = rf"\{{(?:{STRING}|`[^`]*+`|[^\"`{{}}])*+\}}"
ATTRIBUTE = re.compile(rf"({_KEY})=({_VALUE})")
LINE = re.compile(
    rf"""
    (?P<optional> \?\s*+ )?
    (?P<name> {STRING} | (?!["{{?])(?: (?!\s[{{]|\s[#](?:\s|$)) . )+? | (?={{) )
    (?P<attributes> (?: \s+{_KEY}={_VALUE} )*+ )
    (?: (?: \s+ | (?<!\S) ) (?P<filter> {FILTER} ) )?
    (?: \s+ [x×] (?P<least>\d{{1,9}}) (?P<range> \.\.(?P<most>\d{{0,9}}) )? )?
    (?P<ordered> \s+\(in[ ]order\) )?
    (?: \s+ [#](?:\s.*)? )?
    """,
    re.VERBOSE,
)
REMARK = re.compile(r"#(?:\s|$)")
MORE = re.compile(r"\.\.\.(?:\s+#.*)?")


@lru_cache(1_024)
def readable(name: str) -> str:
    """A name as it stands in a shape: as it is, in quotes where it would be read as something else."""
    found = LINE.fullmatch(name) if name.isprintable() and name == name.strip() else None
    is_plain = found is not None and found["name"] == name and not name.startswith('"') and not _is_sign(name)
    return name if is_plain else quoted(name)


def _is_sign(text: str) -> bool:
    return bool(MORE.fullmatch(text) or REMARK.match(text))


def written(value: Value) -> str:
    """An attribute's value as it stands behind ``key=``."""
    text = present.value(value)
    return text if text.isprintable() and re.fullmatch(_VALUE, text) and text[0] != '"' else quoted(text)


def quoted(text: str) -> str:
    """A text in quotes, control characters spelt out."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


def unquoted(text: str) -> str:
    """What a name or value says, in quotes or not. Raises ValueError: the string in quotes is not JSON's."""
    return str(json.loads(text)) if text.startswith('"') else text
