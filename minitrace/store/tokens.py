"""Tokens: what stands for a value in a span's row and in the index.

A token is the number of a key in letters, then the count of a value of that key in digits: "ab12". Token and
`dictionary.id` say the same; the id also says the segment. Keys below `FIRST_KEY` are the same in every segment;
for most of them the count is the value itself, and no row of `dictionary` is needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

KEY_BITS = 20
COUNT_BITS = 24  # more values than one request can hold: 64 MB of them, six bytes each, are 11 million

RESOURCE, SCOPE, STATUS, DURATION = range(4)  # a, b, c and d; durations roughly, see `duration_tokens`
NAME, STATUS_MESSAGE = 4, 5  # e and f
FIRST_KEY = 6

# Of log records a is the resource, b the scope, c the severity and d the service. In the index they stand among the
# words of the bodies, behind a sign that nobody types, and that FTS5 takes for a letter.
SEVERITY, SERVICE = STATUS, DURATION
LOG_SIGN = "\ue001"


@lru_cache(4096)
def letters(key: int) -> str:
    """A key's number in letters: 0 is "a", 26 is "ba"."""
    text = chr(97 + key % 26)
    while key := key // 26:
        text = chr(97 + key % 26) + text
    return text


def token_of(value_id: int) -> str:
    """The token of a row of `dictionary`."""
    return f"{letters(key_of(value_id))}{value_id & (1 << COUNT_BITS) - 1}"


def tokens_of(value_ids: Iterable[int]) -> set[str]:
    """The tokens of many rows of `dictionary`, quickest in the order of their ids."""
    found: list[str] = []
    first = last = 0
    key = ""
    for value_id in value_ids:
        if not first < value_id <= last:
            first = value_id >> COUNT_BITS << COUNT_BITS
            last = first + (1 << COUNT_BITS) - 1
            key = letters(key_of(value_id))
        found.append(f"{key}{value_id - first}")
    return set(found)


def prefix(token: str) -> str:
    """The letters of a token: those of its key."""
    return token.rstrip("0123456789")


def finder(keys: Iterable[int]) -> Callable[[str], list[str]]:
    """A function that finds the tokens of these keys in a text of tokens."""
    alternatives = "|".join(map(letters, keys))
    if not alternatives:
        return lambda text: []
    return re.compile(rf"\b(?:{alternatives})[0-9]+").findall


def key_of(value_id: int) -> int:
    """The number of the key whose value a row of `dictionary` is."""
    return value_id >> COUNT_BITS & (1 << KEY_BITS) - 1


def id_of(segment: int, token: str) -> int:
    """The `dictionary.id` of a token."""
    (value_id,) = ids_of(segment, [token])
    return value_id


def ids_of(segment: int, tokens: Iterable[str]) -> dict[int, str]:
    """Tokens by their `dictionary.id`."""
    found: dict[int, str] = {}
    firsts: dict[str, int] = {}
    for token in tokens:
        name = prefix(token)
        first = firsts.get(name)
        if first is None:
            first = firsts[name] = first_id(segment, key_number(name))
        found[first + int(token[len(name) :])] = token
    return found


def key_number(letters_: str) -> int:
    """A key's number, of its letters."""
    number = 0
    for letter in letters_:
        number = number * 26 + ord(letter) - 97
    return number


def first_id(segment: int, key: int = 0) -> int:
    """The id below all of a key's values; those of the next key, or segment, begin where they end."""
    return (segment << KEY_BITS | key) << COUNT_BITS


def numbered_id(segment: int, number: int) -> int:
    """The id of a segment's resource or scope."""
    return segment << COUNT_BITS | number


def duration_tokens(low_ns: int, high_ns: int) -> set[str]:
    """The tokens that durations from `low_ns` to `high_ns` have: d, their number of digits and ten, their first digit.

    So 2.4 s, with ten digits, is "d202". `_POSTINGS` in writer.py says the same in SQL.
    """
    numbers = (digits * 10 + first for digits in range(1, 20) for first in range(10))
    return {f"d{number + 100}" for number in numbers if _rough(low_ns) <= number <= _rough(high_ns)}


def _rough(duration_ns: int) -> int:
    text = str(duration_ns)
    return len(text) * 10 + int(text[0])
