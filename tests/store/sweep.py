"""Queries of every kind, and spans for which most of them hold now and then.

What random queries meet once in a thousand times is asked here each time.
"""

from __future__ import annotations

import random
from itertools import combinations, product
from typing import Any

from minitrace.model import Attributes, Event, Link, Resource, Scope, Span, Status
from tests.samples import T0, TRACE, span, span_id, trace_id
from tests.store.queries import KEYS, NAMES, is_query

# Every kind of condition, and of two together, about spans for which most of them hold now and then

_PLACED = ("", "span", "resource", "event", "link", "instrumentation", "parent")
_ALONE = [
    *(
        f"{place}.k {operator} {literal}"
        for place, operator, literal in product(_PLACED, ("=", "!=", "<", ">="), ('"alpha"', "7", "true"))
    ),
    *(
        f"{literal} {operator} {place}.k"
        for place, operator, literal in product(("", "event"), ("<", ">="), ("7", "1"))
    ),
    *(
        f"{place}.k {operator} {pattern}"
        for place, operator, pattern in product(
            ("", "resource", "event"),
            ("=~", "!~"),
            (
                '"al.*"',
                '".*lp.*"',
                '"(?i).*B.*"',
                '"alpha|7"',
                '".*al$.*"',
                '".*ta$.*"',
                '".*eta|lp.*"',
                '".*50%.*"',
                r'"(?i).*B\\\\S.*"',
                '"(?i).*k.*"',
                '"(?i).*A.*"',
                r'"\x00a.*"',
            ),
        )
    ),
    *(f"{place}.k {rest}" for place, rest in product(_PLACED, ("= nil", "!= nil", "+ 1 = nil", "!= .n", "* 2 > .n"))),
    *(f"{place}.flag" for place in _PLACED),
    *(f"!{place}.flag" for place in _PLACED),
    *(
        f"{name} {operator} {number}"
        for name, operator, number in product(
            ("duration", "traceDuration"),
            ("=", "!=", "<", "<=", ">", ">="),
            ("0", "9.5ms", "10ms", "10000000.5", "99ms"),
        )
    ),
    *(f"nestedSetParent {rest}" for rest in ("< 0", "<= -1", "= -1", ">= 0", "> -1", "!= -1", "= 1", "> 0")),
    *(
        f"{name} {operator} {value}"
        for name, operator, value in [
            *product(("status",), ("=", "!="), ("unset", "ok", "error")),
            *product(("kind",), ("=", "!="), ("unspecified", "server")),
            *product(
                ("statusMessage", "event:name", "instrumentation:name", "name"),
                ("=", "!="),
                ('""', '"a"', '"failed 50%"'),
            ),
            *product(
                ("statusMessage", "event:name", "instrumentation:name", "name"), ("=~", "!~"), ('".*"', '".*%.*"')
            ),
            *product(("rootName", "rootServiceName"), ("=", "!="), ('"a"', '"shop"', '"<root span not yet received>"')),
            *product(("rootName", "rootServiceName"), ("=~", "!~"), ('"a|shop"', '"<root.*"')),
            *product(
                ("trace:id",),
                ("=", "!=", "<", ">="),
                ('"0"', '"37"', f'"{trace_id("t").hex().upper()}"', f'"000{trace_id("u").hex()}"'),
            ),
            *product(
                ("span:id", "link:traceID"), ("=", "!="), ('"0"', f'"000{span_id("a").hex()}"', f'"00{TRACE.hex()}"')
            ),
        ]
    ),
]
_MIXED = [
    '.k = "alpha"',
    "span.k != 7",
    "resource.k = 7",
    "event.k = 7",
    'event.n = "alpha"',
    "link.k != nil",
    "event.k = nil",
    "status = unset",
    "status != error",
    "kind != server",
    "duration != 10ms",
    "duration > 5ms",
    'name = "a"',
    'rootName = "a"',
    'rootName =~ "a|b"',
    "nestedSetParent < 0",
    "parent.k = 7",
    "!(.flag)",
    'statusMessage = ""',
    "instrumentation.k = 7",
    'resource.service.name = "pay"',
    "span.n = 12345",
    "resource.n = 12345",
]
_FORMS = ("({}) && ({})", "!(({}) || ({}))", "({}) || ({})", "!(({}) && ({}))")
_EVERY_CONDITION = [
    *(f"{{ {text.format(one)} }}" for one in _ALONE for text in ("{}", "!({})")),
    *(f"{{ {_FORMS[n % 4].format(one, other)} }}" for n, (one, other) in enumerate(combinations(_MIXED, 2))),
]
_FEW = ['{ name = "a" }', "{ .k = 7 }", '{ event.k = "alpha" }', "{ .n = 12345 }", "{ }"]
_EVERY_PIPELINE = [
    *(
        f"{left} {relation} {right}"
        for left, relation, right in product(
            _FEW, ("&&", "||", ">", ">>", "<", "~", "!>", "!>>", "!<<", "!~", "&>>"), _FEW
        )
    ),
    *(
        f"{first} | {stage} | {last}"
        for first, stage, last in product(
            _FEW,
            (
                "by(.k)",
                "select(.n)",
                "count() > 1",
                "coalesce()",
                "by(rootName)",
                "select(nestedSetLeft, statusMessage)",
            ),
            _FEW[:3],
        )
    ),
    *(
        f"({first} || {second}) | {stage}"
        for first, second, stage in product(
            _FEW,
            _FEW[:3],
            ("by(.n)", "count() > 1", "avg(duration) > 5ms", "select(event.k, parent.k, nestedSetParent)"),
        )
    ),
]
QUERIES = [query for query in [*_EVERY_CONDITION, *_EVERY_PIPELINE] if is_query(query)]
_FIELDS = (
    "name",
    "status",
    "kind",
    "resource.service.name",
    "resource.k",
    "instrumentation.k",
    ".k",
    "span.n",
    "rootName",
    "rootServiceName, event.k",
    "traceDuration",
    "parent.k",
    "nestedSetParent",
    "instrumentation:name",
)
_COUNTS = (
    "rate()",
    "min_over_time(duration)",
    "sum_over_time(duration)",
    "avg_over_time(.k)",
    "histogram_over_time(duration)",
    "histogram_over_time(traceDuration)",
    "quantile_over_time(.k, .5)",
    "max_over_time(resource.k)",
)
_COUNTED = (
    '{ name = "a" }',
    '{ name != "a" }',
    '{ rootName = "a" }',
    "{ traceDuration > 5ms }",
    "{ .k = 7 }",
    "{ .k != nil }",
    "{ !(.k = 7) }",
    "{ event.k = 7 && event.n = 7 }",
    '{ resource.service.name = "pay" } >> { }',
    "{ duration > 9.5ms }",
    "{ duration < 99ms }",
)
SERIES = [
    *(f"{{ }} | rate() by({field})" for field in _FIELDS),
    *(f"{{ }} | {count}" for count in _COUNTS),
    *(f"{found} | rate()" for found in (*_COUNTED, "{ span.k = 1 }", "{ span.k = 7 }", "{ duration > 5ms }")),
    *(
        f"{_COUNTED[n % len(_COUNTED)]} | {count} by({field})"
        for n, (count, field) in enumerate(product(_COUNTS, _FIELDS))
    ),
]


def many_spans() -> list[Span]:
    """Spans of some larger traces and of many with one span, always the same.

    What is wrongly left out of a large trace another span may bring back.
    """
    chosen = random.Random(11)
    values: list[Any] = [
        "alpha",
        7,
        1,
        True,
        "Beta",
        "50%",
        "b\\s",
        "\u212a",
        "\0a",
        "\0a",
        float("nan"),
        False,
        [7, 1],
        ["alpha", "x"],
        [True, False],
        None,
    ]

    def attributes() -> Attributes:
        weights = [5, 5, 2, 3] + [1] * (len(values) - 4)
        return {key: chosen.choices(values, weights)[0] for key in KEYS if chosen.random() < 0.6}

    found = []
    ids: dict[str | bytes, list[str]] = {}
    for n in range(60):
        name = chosen.choice(NAMES)
        id = name if n % 7 == 0 else f"{n}"
        traces: list[str | bytes] = ["t", "t", "u", "v", b"\0" * 15 + b"7", f"{n}"]
        trace = chosen.choice(traces)
        own = ids.setdefault(trace, [])
        parent = chosen.choice(["", *own[-4:], "missing"][: None if n % 5 == 0 or not own else -1])
        own.append(id)
        origin = {"service.name": chosen.choice(["shop", "pay"])}
        found.append(
            span(
                name,
                parent,
                id=id,
                trace=trace,
                start_ms=n // 2 + chosen.randint(0, 9),
                duration_ms=chosen.choice([0, 1e-6, 9.5, 10, 10, 99, 1e6]),
                status=Status(chosen.choice([0, 0, 1, 2, 9]), chosen.choice(["", "", "failed 50%"])),
                kind=chosen.choice([0, 2, 3, 9]),
                attributes=attributes(),
                resource=Resource({**origin, **attributes()}),
                scope=Scope(chosen.choice(["", "lib"]), "1.0", attributes()),
                events=[Event(T0, chosen.choice("ab"), attributes()) for _ in range(chosen.randint(0, 2))],
                links=[Link(chosen.choice([TRACE, b"\0" * 15 + b"1"]), b"12345678", "", attributes())][: n % 2],
            )
        )
    return [item for n, item in enumerate(found) if item not in found[:n]]
