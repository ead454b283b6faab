"""Attributes, events and links as the JSON text of the file's columns, and back.

Strings, booleans, integers, finite doubles, null and arrays are JSON's own. What JSON lacks is an
object of one key: ``{"bytes": "<base64>"}``, ``{"double": "NaN"}``, ``{"map": {…}}``. The text is valid
JSON, so that ``json_extract(attributes, '$."http.route"')`` works for whoever opens the file.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any

from minitrace.model import Attributes, Entity, Event, Link, Value

EMPTY_MAP = "{}"
EMPTY_LIST = "[]"


def dump_attributes(attributes: Attributes) -> str:
    """Attributes as a JSON object."""
    return _text({key: _plain(value) for key, value in attributes.items()}) if attributes else EMPTY_MAP


def load_attributes(text: str) -> Attributes:
    """What `dump_attributes` wrote."""
    return {} if text == EMPTY_MAP else {key: _value(plain) for key, plain in json.loads(text).items()}


def dump_events(events: list[Event]) -> str:
    """Events as a JSON list of ``[time_ns, name, attributes, dropped_attributes]``."""
    if not events:
        return EMPTY_LIST
    return _text([[e.time_ns, e.name, _plain_map(e.attributes), e.dropped_attributes] for e in events])


def load_events(text: str) -> list[Event]:
    """What `dump_events` wrote."""
    if text == EMPTY_LIST:
        return []
    return [Event(time_ns, name, _value_map(plain), dropped) for time_ns, name, plain, dropped in json.loads(text)]


def dump_links(links: list[Link]) -> str:
    """Links as a JSON list of ``[trace_id, span_id, trace_state, attributes, dropped_attributes, flags]``."""
    if not links:
        return EMPTY_LIST
    return _text(
        [
            [k.trace_id.hex(), k.span_id.hex(), k.trace_state, _plain_map(k.attributes), k.dropped_attributes, k.flags]
            for k in links
        ]
    )


def load_links(text: str) -> list[Link]:
    """What `dump_links` wrote."""
    if text == EMPTY_LIST:
        return []
    return [
        Link(bytes.fromhex(trace_id), bytes.fromhex(span_id), state, _value_map(plain), dropped, flags)
        for trace_id, span_id, state, plain, dropped, flags in json.loads(text)
    ]


def dump_entities(entities: list[Entity]) -> str:
    """Entities as a JSON list of ``[type, id_keys, description_keys, schema_url]``."""
    if not entities:
        return EMPTY_LIST
    return _text([[e.type, e.id_keys, e.description_keys, e.schema_url] for e in entities])


def load_entities(text: str) -> list[Entity]:
    """What `dump_entities` wrote."""
    return [Entity(*fields) for fields in json.loads(text)]


def _text(plain: Any) -> str:
    return json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _plain_map(attributes: Attributes) -> dict[str, Any]:
    return {key: _plain(value) for key, value in attributes.items()}


def _plain(value: Value) -> Any:
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"double": str(value)}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {"map": _plain_map(value)}
    return value


def _value_map(plain: dict[str, Any]) -> Attributes:
    return {key: _value(item) for key, item in plain.items()}


def _value(plain: Any) -> Value:
    if isinstance(plain, list):
        return [_value(item) for item in plain]
    if not isinstance(plain, dict):
        value: Value = plain
        return value
    ((kind, content),) = plain.items()
    if kind == "bytes":
        return base64.b64decode(content)
    return float(content) if kind == "double" else _value_map(content)
