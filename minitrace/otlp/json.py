"""OTLP's JSON to its messages, and back.

`google.protobuf.json_format` cannot be used: it reads the hex ids of OTLP/JSON as base64, is 100 times
slower than the binary parser, and fails on enum names newer than the descriptors. What differs from
proto3's JSON mapping is in the OTLP specification, "JSON Protobuf Encoding":

- ids are hex, in any case; every other ``bytes`` field is base64;
- enums are numbers (names are taken too, as the Collector takes them);
- unknown keys are ignored at any depth; ``null`` is absent; 64-bit integers are strings or numbers.

Keys may be camelCase or snake_case. See https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from functools import cache
from typing import Any, Literal

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from minitrace.errors import DecodeError
from minitrace.otlp.messages import Message

ID_FIELDS = {"trace_id", "span_id", "parent_span_id"}
_IDS_OF_LOGS = {f"opentelemetry.proto.logs.v1.LogRecord.{name}" for name in ID_FIELDS}
BROKEN_ID = b"\xff"  # instead of one of a log record that is not hex: what the record says is worth as much without
MAX_DEPTH = 100  # of objects within each other; the binary parser stops there too
_INTEGERS = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SINT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SFIXED32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_FIXED32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SINT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SFIXED64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_FIXED64: (0, 2**64 - 1),
}
_LONG = {type_ for type_, (_, high) in _INTEGERS.items() if high > 2**32}


def parse(text: bytes, message: Message) -> None:
    """Fill a message from OTLP/JSON.

    Raises:
        DecodeError: not JSON, not an object, or a value that does not fit its field; names the place.
    """
    try:
        document = json.loads(text, object_hook=_same)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise DecodeError(f"the body is not a JSON object but {_shown(document)}")
    fill(message, document)


def fill(message: Message, document: dict[str, Any]) -> None:
    """Fill a message from a JSON object, which is taken apart. Raises DecodeError as `parse` does."""
    _fill(message, document, message.DESCRIPTOR.name, 0)


def _same(document: dict[str, Any]) -> dict[str, Any]:
    """What it is given. A Python function, as the parser in C holds Python's lock between two of them.

    20 MB of spans took it 0.2 s, in which nobody else was answered.
    """
    return document


def _fill(message: Any, document: dict[str, Any], place: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise DecodeError(f"{place[:80]}… is nested deeper than {MAX_DEPTH} levels")
    known = _fields(message.DESCRIPTOR)
    for key, value in document.items():
        field = known.get(key)
        if field is None or value is None:
            continue
        where = f"{place}.{key}"
        if field.is_repeated:
            _fill_list(getattr(message, field.name), field, value, where, depth)
        elif field.message_type is not None:
            child = getattr(message, field.name)
            child.SetInParent()
            _fill(child, _object(value, where), where, depth + 1)
        else:
            setattr(message, field.name, _scalar(field, value, where))


def _fill_list(target: Any, field: FieldDescriptor, value: Any, where: str, depth: int) -> None:
    if not isinstance(value, list):
        raise DecodeError(f"{where} is not a list but {_shown(value)}")
    for index, item in enumerate(value):
        place = f"{where}[{index}]"
        if field.message_type is None:
            target.append(_scalar(field, item, place))
        else:
            _fill(target.add(), {} if item is None else _object(item, place), place, depth + 1)
            value[index] = None  # to let go of a million objects one by one: at once it takes 60 ms


@cache
def _fields(descriptor: Descriptor) -> dict[str, FieldDescriptor]:
    by_key: dict[str, FieldDescriptor] = {}
    for field in descriptor.fields:
        by_key[field.name] = field
        by_key[field.json_name] = field
    return by_key


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DecodeError(f"{where} is not an object but {_shown(value)}")
    return value


def _scalar(field: FieldDescriptor, value: Any, where: str) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return _string(value, where)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _bytes(field, value, where)
    if field.type == FieldDescriptor.TYPE_BOOL:
        if isinstance(value, bool):
            return value
        raise DecodeError(f"{where} is not true or false but {_shown(value)}")
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return _double(value, where)
    if field.enum_type is not None and isinstance(value, str) and not _is_number(value):
        return _enum(field.enum_type, value, where)
    low, high = _INTEGERS.get(field.type, (-(2**31), 2**31 - 1))
    return _integer(value, low, high, where)


def _string(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise DecodeError(f"{where} is not a string but {_shown(value)}")
    # "\ud800" alone is legal JSON and no Unicode text: protobuf and SQLite both refuse it
    return value.encode("utf-8", "replace").decode() if not value.isascii() else value


def _bytes(field: FieldDescriptor, value: Any, where: str) -> bytes:
    text = _string(value, where)
    try:
        if field.name in ID_FIELDS:
            return bytes.fromhex(text)
        padded = text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)
        return base64.b64decode(padded, validate=True)
    except (ValueError, binascii.Error):
        if field.full_name in _IDS_OF_LOGS:
            return BROKEN_ID
        raise DecodeError(f"{where} is not {'hex' if field.name in ID_FIELDS else 'base64'}: {_shown(value)}") from None


def _double(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise DecodeError(f"{where} is not a number but {_shown(value)}")
    try:
        return float(value)  # also of "NaN", "Infinity" and "-Infinity"
    except (ValueError, OverflowError):
        raise DecodeError(f"{where} is not a number but {_shown(value)}") from None


def _integer(value: Any, low: int, high: int, where: str) -> int:
    number: int | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif (isinstance(value, str) and _is_number(value)) or (isinstance(value, float) and value.is_integer()):
        number = int(value)
    if number is None or not low <= number <= high:
        raise DecodeError(f"{where} is not an integer from {low} to {high} but {_shown(value)}")
    return number


def _enum(enum: EnumDescriptor, name: str, where: str) -> int:
    if name not in enum.values_by_name:
        raise DecodeError(f"{where} is none of {', '.join(enum.values_by_name)} but {_shown(name)}")
    return enum.values_by_name[name].number


def _is_number(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= 20


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def dump(message: Message, ids: Literal["hex", "base64"] = "hex", enums: Literal["number", "name"] = "number") -> Any:
    """A message as JSON objects, empty fields left out.

    ``hex`` and ``number`` are OTLP/JSON; ``base64`` and ``name`` are proto3's mapping, which Tempo answers with.
    """
    document: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.is_repeated:
            document[field.json_name] = [_dump(field, item, ids, enums) for item in value]
        else:
            document[field.json_name] = _dump(field, value, ids, enums)
    return document


def _dump(field: FieldDescriptor, value: Any, ids: Any, enums: Any) -> Any:
    if field.message_type is not None:
        return dump(value, ids, enums)
    if field.type == FieldDescriptor.TYPE_BYTES:
        is_hex = ids == "hex" and field.name in ID_FIELDS
        return value.hex() if is_hex else base64.b64encode(value).decode()
    if field.type in _LONG:
        return str(value)
    if field.type == FieldDescriptor.TYPE_DOUBLE and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if field.enum_type is not None and enums == "name" and value in field.enum_type.values_by_number:
        return field.enum_type.values_by_number[value].name
    return value
