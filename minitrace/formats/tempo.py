"""Tempo's JSON to spans, as its API answers and Grafana downloads it.

```
{"batches": [ResourceSpans…]}                     v1, and Grafana's "download trace"
{"trace": {"resourceSpans": [ResourceSpans…]}}    v2
```

ResourceSpans are OTLP's, but for ids in base64 and enums by their names; Grafana's have hex. Those of before 2022 say
`instrumentationLibrary` for scope. OTLP JSON itself, and Jaeger's `{"result": {"resourceSpans": …}}`, are read as well.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from minitrace.errors import DecodeError
from minitrace.formats import fields
from minitrace.model import Span
from minitrace.otlp.decode import Export, decode_document

SPANS_A_PART = 10_000
_LISTS = ("batches", "resourceSpans", "resource_spans")
_AROUND = ("trace", "result")
_IDS = ("traceId", "spanId", "parentSpanId")
_OLD_NAMES = {"instrumentationLibrarySpans": "scopeSpans", "instrumentationLibrary": "scope"}


def read_spans(document: Any) -> list[Span]:
    """The spans of a document. Raises DecodeError, TooLarge."""
    return [span for export in read_exports(document) for span in export.spans]


def read_exports(document: Any) -> Iterator[Export]:
    """A document, which is taken apart, as exports of some thousand spans each: one alone may not have a million.

    Raises:
        DecodeError: it is none, or a value in it does not fit.
        TooLarge: one resource has more spans than an export may.
    """
    groups = resource_spans(document)
    if groups is None:
        raise DecodeError('it is no trace of Tempo: there is no "batches" in it, and no "resourceSpans"')
    part: list[Any] = []
    size = 0
    for group in fields.each(groups, "batch", _to_otlp):
        part.append(group)
        size += _span_count(group)
        if size >= SPANS_A_PART:
            yield decode_document({"resourceSpans": part})
            part, size = [], 0
    yield decode_document({"resourceSpans": part})


def resource_spans(document: Any) -> list[Any] | None:
    """The list of ResourceSpans in a document, wherever it stands; None if there is none."""
    for key in _AROUND:
        if isinstance(document, dict) and isinstance(document.get(key), dict):
            document = document[key]
    for key in _LISTS:
        if isinstance(document, dict) and key in document:
            return fields.sequence(document[key], key)
    return None


def _to_otlp(group: dict[str, Any]) -> dict[str, Any]:
    """Tempo's ResourceSpans made OTLP's, in place."""
    _rename(group)
    for scope_spans in fields.sequence(group.get("scopeSpans"), "scopeSpans"):
        if isinstance(scope_spans, dict):
            _rename(scope_spans)
            for span in fields.sequence(scope_spans.get("spans"), "spans"):
                if isinstance(span, dict):
                    _unpack_ids(span)
    return group


def _span_count(group: dict[str, Any]) -> int:
    return sum(len(part.get("spans") or ()) for part in group.get("scopeSpans") or () if isinstance(part, dict))


def _rename(document: dict[str, Any]) -> None:
    for old, new in _OLD_NAMES.items():
        if old in document:
            document.setdefault(new, document.pop(old))


def _unpack_ids(span: dict[str, Any]) -> None:
    for item in (span, *(link for link in span.get("links") or () if isinstance(link, dict))):
        for key in _IDS:
            if key in item:
                item[key] = _hex(item[key])


def _hex(value: Any) -> Any:
    """An id in hex. 8 or 16 bytes in base64 end with `=`, which hex never does."""
    if isinstance(value, str) and value.endswith("="):
        try:
            return base64.b64decode(value, validate=True).hex()
        except (ValueError, binascii.Error):
            return value
    return value
