"""Fields of a JSON object that somebody else wrote: each is what it should be, or the error says what it is.

``null`` and a missing field are the same. The errors begin with the field's name: who reads a list says which item.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from minitrace.errors import DecodeError
from minitrace.model import Value
from minitrace.otlp.decode import MAX_VALUE_DEPTH

Item = TypeVar("Item")
MAX_MICROSECONDS = (2**64 - 1) // 1000  # as many as OTLP's nanoseconds hold


@contextmanager
def within(place: str) -> Iterator[None]:
    """Say of an error where it is."""
    try:
        yield
    except DecodeError as error:
        raise DecodeError(f"{place}: {error}") from None


def mapping(value: Any, name: str) -> dict[str, Any]:
    """An object; an empty one for ``null``."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise DecodeError(f"{name} is not an object but {shown(value)}")
    return value


def sequence(value: Any, name: str) -> list[Any]:
    """A list; an empty one for ``null``."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise DecodeError(f"{name} is not a list but {shown(value)}")
    return value


def text(document: dict[str, Any], key: str) -> str:
    """A string, which UTF-8 can carry; "" where there is none."""
    value = document.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DecodeError(f"{key} is not a string but {shown(value)}")
    return encodable(value)


def encodable(text: str) -> str:
    """Text that UTF-8 can carry: half a surrogate pair, which JSON can say, is none."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def integer(document: dict[str, Any], key: str, low: int = 0, high: int = MAX_MICROSECONDS) -> int:
    """A whole number, written as one or as its digits; 0 where there is none."""
    value = document.get(key)
    if value is None:
        return 0
    number = whole(value)
    if number is None or not low <= number <= high:
        raise DecodeError(f"{key} is not a whole number from {low} to {high} but {shown(value)}")
    return number


def whole(value: Any) -> int | None:
    """The whole number that a value is, or says in digits; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit() and len(value) <= 20:
        return int(value)
    return None


def end(start_ns: int, duration_us: int) -> int:
    """When a span ended, in nanoseconds."""
    end_ns = start_ns + duration_us * 1000
    if end_ns >= 2**64:
        raise DecodeError("it ends after the year 2554")
    return end_ns


def hex_id(document: dict[str, Any], key: str, size: int) -> bytes:
    """An id of `size` bytes, of which leading zeros may be missing; b"" where there is none, or only zeros."""
    digits = text(document, key)
    try:
        value = bytes.fromhex(digits.rjust(2 * size, "0")) if digits.isalnum() else b""
    except ValueError:
        value = b""
    if digits and len(value) != size:
        raise DecodeError(f"{key} is not 1 to {2 * size} hex digits but {shown(digits)}")
    return value if any(value) else b""


def needed(document: dict[str, Any], key: str, size: int) -> bytes:
    """An id that must be there, and not be all zero."""
    if value := hex_id(document, key, size):
        return value
    raise DecodeError(f"{key} is missing, or zero: 1 to {2 * size} hex digits are needed")


def each(
    documents: list[Any], noun: str, read: Callable[[dict[str, Any]], Item], problems: list[str] | None = None
) -> Iterator[Item]:
    """Read each object of a list; what is wrong with one is raised with its place, or added to `problems`."""
    for number, document in enumerate(documents):
        documents[number] = None  # to let go of a million objects one by one: at once it takes 60 ms
        try:
            item = read(mapping(document, "it"))
        except DecodeError as error:
            problem = f"{noun} {number + 1}: {error}"
            if problems is None:
                raise DecodeError(problem) from None
            problems.append(problem)
        else:
            yield item


def children(document: dict[str, Any], key: str, noun: str, read: Callable[[dict[str, Any]], Item]) -> list[Item]:
    """What is made of a list of objects; an empty one where there is none."""
    listed = document.get(key)
    return [] if listed is None else list(each(sequence(listed, key), noun, read))


def attribute(value: Any, depth: int = 0) -> Value:
    """Any JSON as an attribute's value; what OTLP cannot carry is made text."""
    match value:
        case str():
            return encodable(value)
        case int() if not -(2**63) <= value < 2**63:
            return str(value)
        case list() | dict() if depth >= MAX_VALUE_DEPTH:
            return f"[nested deeper than {MAX_VALUE_DEPTH} levels]"
        case list():
            return [attribute(item, depth + 1) for item in value]
        case dict():
            return {encodable(key): attribute(item, depth + 1) for key, item in value.items()}
    scalar: Value = value
    return scalar


def parsed(body: bytes | str) -> Any:
    """What is JSON, in whichever of its encodings. Raises DecodeError."""
    try:
        text = body if isinstance(body, str) else body.decode(json.detect_encoding(body))
        return json.loads(text, object_hook=_same)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"not JSON: {error}") from None


def _same(document: dict[str, Any]) -> dict[str, Any]:
    """What it is given. A Python function, as the parser in C holds Python's lock between two of them."""
    return document


def shown(value: Any) -> str:
    """A value as JSON, short enough for a message."""
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
