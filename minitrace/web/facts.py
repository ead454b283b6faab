"""What a query is about, of what it found, as short texts: ``by(name) = "GET"``, ``count() = 1 234``."""

from __future__ import annotations

from collections.abc import Mapping

from minitrace import present
from minitrace.model import StatusCode
from minitrace.store.matches import SpanMatch
from minitrace.traceql.ast import Duration, Value, static_text

_LONGEST = 80  # characters of a value


def facts(attributes: Mapping[str, Value]) -> list[str]:
    """Each attribute with its value, as TraceQL would write it where that is short."""
    return [f"{present.printable(name)} = {_text(name, value)}" for name, value in attributes.items()]


def facts_of_span(span: SpanMatch) -> list[str]:
    """The same, without what stands beside a span anyway."""
    beside = {"service.name": span.service, **({"status": StatusCode.ERROR} if span.is_error else {})}
    return facts({name: value for name, value in span.attributes.items() if beside.get(name) != value})


def _text(name: str, value: Value) -> str:
    if isinstance(value, Duration):
        return present.duration(value)
    if isinstance(value, list):
        return _shortened(f"[{', '.join(_text(name, item) for item in value)}]")
    if type(value) is float:
        return present.value(float(f"{value:.6g}"))
    if type(value) is int and name.endswith("()"):  # counts; what an attribute holds may be an id
        return present.integer(value)
    return _shortened(static_text(value))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
