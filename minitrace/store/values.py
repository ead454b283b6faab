"""Attribute values as a type and a column of SQLite, and back.

Strings, integers and finite doubles are SQLite's own; a bool is 0 or 1, NaN is NULL, an array or map is JSON text.
What JSON lacks is written as an object of one key: ``{"bytes": "<base64>"}``, ``{"double": "NaN"}``, ``{"map": {…}}``.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any

from minitrace.model import Entity, Value

Column = str | int | float | bytes | None

STRING, BOOL, INT, DOUBLE, BYTES, ARRAY, MAP, EMPTY = (
    "string", "bool", "int", "double", "bytes", "array", "map", "empty",
)  # fmt: skip


_TYPES = {str: STRING, bool: BOOL, int: INT, float: DOUBLE, bytes: BYTES, list: ARRAY, dict: MAP, type(None): EMPTY}


def type_of(value: Value) -> str:
    """The type's name, as the file has it."""
    return _TYPES[type(value)]


def to_column(value: Value) -> Column:
    """What is written in `dictionary.value`."""
    kind = type(value)
    if kind is str or kind is int:
        return value  # type: ignore[return-value]
    if isinstance(value, list | dict):
        return _text(_plain(value))
    if isinstance(value, float) and math.isnan(value):
        return None
    return value


def from_column(type_: str, column: Column) -> Value:
    """What `to_column` was given."""
    if type_ in (ARRAY, MAP):
        assert isinstance(column, str)
        return _value(json.loads(column))
    if type_ == BOOL:
        return bool(column)
    if type_ == DOUBLE and column is None:
        return math.nan
    return column


def dump_entities(entities: list[Entity]) -> str:
    """Entities as a JSON list of ``[type, id_keys, description_keys, schema_url]``."""
    return _text([[e.type, e.id_keys, e.description_keys, e.schema_url] for e in entities])


def load_entities(text: str) -> list[Entity]:
    """What `dump_entities` wrote."""
    return [Entity(*fields) for fields in json.loads(text)]


def _text(plain: Any) -> str:
    return json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _plain(value: Value) -> Any:
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"double": str(value)}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {"map": {key: _plain(item) for key, item in value.items()}}
    return value


def _value(plain: Any) -> Value:
    if isinstance(plain, list):
        return [_value(item) for item in plain]
    if not isinstance(plain, dict):
        value: Value = plain
        return value
    ((kind, content),) = plain.items()
    if kind == "bytes":
        return base64.b64decode(content)
    return float(content) if kind == "double" else {key: _value(item) for key, item in content.items()}
