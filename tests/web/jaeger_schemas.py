"""What Jaeger's clients read, as strictly as the strictest of them: a key too many fails, and so does one too few.

A schema is a type, a function that says whether a value fits, a list with the schema of its items, or a dict with
that of each key; a key that ends in "?" may be absent. `check` says where something does not fit.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Schema = Any


def check(value: Any, schema: Schema, place: str = "$") -> None:
    """Raises AssertionError."""
    if isinstance(schema, dict):
        assert isinstance(value, dict), f"{place} is no object: {value!r}"
        known = {key.rstrip("?"): (own, key.endswith("?")) for key, own in schema.items()}
        assert not value.keys() - known.keys(), f"{place} has {value.keys() - known.keys()}"
        for key, (own, is_optional) in known.items():
            assert key in value or is_optional, f"{place}.{key} is missing"
            if key in value:
                check(value[key], own, f"{place}.{key}")
    elif isinstance(schema, list):
        assert isinstance(value, list), f"{place} is no list: {value!r}"
        for number, item in enumerate(value):
            check(item, schema[0], f"{place}[{number}]")
    elif isinstance(schema, type):
        assert type(value) is schema, f"{place} is no {schema.__name__}: {value!r}"  # True is an int otherwise
    else:
        assert schema(value), f"{place} does not fit: {value!r}"


def text_of(pattern: str) -> Callable[[Any], bool]:
    """Texts that a pattern fits."""
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def one_of(*values: Any) -> Callable[[Any], bool]:
    """One of these, of the same type."""
    return lambda value: any(value == one and type(value) is type(one) for one in values)


def whole(value: Any) -> bool:
    """A number that counts something."""
    return type(value) is int and value >= 0


def within(low: int, high: int) -> Callable[[Any], bool]:
    """A 64-bit number as a decimal string."""
    return lambda value: text_of("-?[0-9]{1,20}")(value) and low <= int(value) <= high


TRACE_ID = text_of("(?!0+$)[0-9a-f]{32}")
SPAN_ID = text_of("(?!0+$)[0-9a-f]{16}")
NANOS = within(0, 2**64 - 1)


def enveloped(data: Schema) -> Schema:
    """The envelope of the older API."""
    return {"data": data, "total": whole, "limit": whole, "offset": whole, "errors": one_of(None)}


PROBLEM = {
    "data": one_of(None),
    "total": whole,
    "limit": whole,
    "offset": whole,
    "errors": [{"code": whole, "msg": text_of(".+")}],
}


def tag(value: Any) -> bool:
    """A typed value with its key."""
    check(value, {"key": str, "type": one_of("string", "bool", "int64", "float64", "binary"), "value": lambda _: True})
    types = {"string": (str,), "bool": (bool,), "int64": (int, str), "float64": (int, float), "binary": (str,)}
    return type(value["value"]) in types[value["type"]]


SPAN = {
    "traceID": TRACE_ID,
    "spanID": SPAN_ID,
    "operationName": str,
    "references": [{"refType": one_of("CHILD_OF", "FOLLOWS_FROM"), "traceID": TRACE_ID, "spanID": SPAN_ID}],
    "startTime": whole,
    "duration": whole,
    "tags": [tag],
    "logs": [{"timestamp": whole, "fields": [tag]}],
    "processID": text_of("p[1-9][0-9]*"),
    "warnings": one_of(None),
}


def trace(value: Any) -> bool:
    """One trace, whose spans are of processes that it has."""
    check(value, {"traceID": TRACE_ID, "spans": [SPAN], "processes": dict_of_processes, "warnings": one_of(None)})
    return all(span["processID"] in value["processes"] for span in value["spans"])


def dict_of_processes(value: Any) -> bool:
    """Processes by their ids."""
    for name, process in value.items():
        check(process, {"serviceName": text_of(".+"), "tags": [tag]}, f"processes.{name}")
    return isinstance(value, dict)


TRACES = enveloped([trace])
TRACES_AND_BATCHES = {**enveloped([trace]), "batches": list}
NAMES = enveloped([str])
OPERATIONS = enveloped([{"name": str, "spanKind": one_of("", "server", "client", "producer", "consumer", "internal")}])
DEPENDENCIES = enveloped([{"parent": str, "child": str, "callCount": whole}])
METRICS = {
    "name": text_of("service_(operation_)?(latencies|call_rate|error_rate)"),
    "type": one_of("GAUGE"),
    "help": text_of(".+"),
    "metrics": [
        {
            "labels": [{"name": one_of("service_name", "operation"), "value": str}],
            "metricPoints": [
                {
                    "gaugeValue": {"doubleValue": float},
                    "timestamp": text_of(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z"),
                }
            ],
        }
    ],
}

PROBLEM_V3 = {"error": {"httpCode": whole, "message": text_of(".+")}}
SERVICES_V3 = {"services": [str]}
OPERATIONS_V3 = {
    "operations": [{"name": str, "spanKind": one_of("server", "client", "producer", "consumer", "internal")}]
}
SUMMARIES_V3 = {
    "summaries": [
        {
            "traceId": TRACE_ID,
            "rootServiceName": str,
            "rootOperationName": str,
            "minStartTimeUnixNano": NANOS,
            "maxEndTimeUnixNano": NANOS,
            "spanCount": whole,
            "errorSpanCount": whole,
            "orphanSpanCount": whole,
            "services": [{"name": str, "spanCount": whole, "errorSpanCount": whole}],
        }
    ]
}


def any_value(value: Any) -> bool:
    """A value with exactly one of its members."""
    members = {
        "stringValue?": str,
        "boolValue?": bool,
        "intValue?": within(-(2**63), 2**63 - 1),
        "doubleValue?": lambda number: type(number) in (int, float),
        "arrayValue?": {"values?": [any_value]},
        "kvlistValue?": {"values?": [KEY_VALUE]},
        "bytesValue?": text_of("(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"),
    }
    check(value, members)
    return len(value) == 1


KEY_VALUE = {"key": str, "value": any_value}
ATTRIBUTES = {"attributes?": [KEY_VALUE], "droppedAttributesCount?": whole}
OTLP_SPAN = {
    "traceId": TRACE_ID,
    "spanId": SPAN_ID,
    "parentSpanId?": SPAN_ID,
    "traceState?": str,
    "flags?": whole,
    "name?": str,
    "kind?": whole,
    "startTimeUnixNano?": NANOS,
    "endTimeUnixNano?": NANOS,
    **ATTRIBUTES,
    "events?": [{"timeUnixNano?": NANOS, "name?": str, **ATTRIBUTES}],
    "droppedEventsCount?": whole,
    "links?": [{"traceId": TRACE_ID, "spanId": SPAN_ID, "traceState?": str, "flags?": whole, **ATTRIBUTES}],
    "droppedLinksCount?": whole,
    "status?": {"message?": str, "code?": whole},
}
TRACES_V3 = {
    "result": {
        "resourceSpans": [
            {
                "resource?": {**ATTRIBUTES, "entityRefs?": list},
                "scopeSpans": [
                    {
                        "scope?": {"name?": str, "version?": str, **ATTRIBUTES},
                        "spans": [OTLP_SPAN],
                        "schemaUrl?": str,
                    }
                ],
                "schemaUrl?": str,
            }
        ]
    }
}
