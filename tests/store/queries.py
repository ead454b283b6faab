"""Random traces, and random queries about them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from minitrace.errors import TraceQLError
from minitrace.model import Attributes, Event, Kind, Link, Resource, Scope, Span, Status
from minitrace.traceql.parser import parse
from tests.samples import T0, TRACE, span, span_id

KEYS = ("k", "n", "flag")
TEXTS = ("alpha", "Beta", "alphabet", "50%", 'q"q', "b\\s", "γάμμα", "two\nlines", "7", "")
NUMBERS = (1, 7, -7, 2.5, 7.0, 2**62)
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [*TEXTS, *NUMBERS, True, False, None, b"b", [1, 7], ["alpha", "x"], [True, False], [], {"k": 1}]
)
HOT: st.SearchStrategy[Any] = st.sampled_from(["alpha", 1, 7, True])  # so that many conditions hold
ATTRIBUTES: st.SearchStrategy[Attributes] = st.dictionaries(st.sampled_from(KEYS), HOT | VALUES, max_size=2)
NAMES = ("a", "b", "c")


@st.composite
def spans(draw: st.DrawFn) -> list[Span]:
    """Spans of two traces, most of them below another; a few ids repeat, a few parents are missing or come later."""
    found: list[Span] = []
    ids: dict[str, list[str]] = {"t": [], "u": []}
    for n in range(draw(st.integers(0, 12))):
        trace = draw(st.sampled_from("ttu"))
        own = draw(st.sampled_from([f"s{n}", f"s{n}", f"s{n}", "twice"]))
        parent = draw(st.sampled_from(["", "missing", f"s{n + 1}", *ids[trace] * 2]))
        ids[trace].append(own)
        name = draw(st.sampled_from(NAMES))
        status = draw(st.sampled_from([0, 1, 2, 9]))
        service = draw(st.sampled_from(["shop", "pay", None]))
        origin = {"service.name": service} if service else {}
        event, link, scope = draw(ATTRIBUTES), draw(ATTRIBUTES), draw(ATTRIBUTES)
        found.append(
            span(
                name, parent, trace=trace, id=own, start_ms=draw(st.integers(0, 40)),
                duration_ms=draw(st.sampled_from([0, 1, 5, 9.5, 10, 99, 1e6])),
                status=Status(status, draw(st.sampled_from(["", "failed 50%"]))),
                kind=draw(st.sampled_from([*Kind, 9])), attributes=draw(ATTRIBUTES),
                resource=Resource({**origin, **draw(ATTRIBUTES)}),
                scope=Scope(draw(st.sampled_from(["", "lib"])), "1.0", scope),
                events=[Event(T0 + 5, "retry", event), Event(T0, "log", scope)][: draw(st.integers(0, 2))],
                links=[Link(TRACE, b"12345678", "", link)][: draw(st.integers(0, 1))],
            )
        )  # fmt: skip
    return [item for n, item in enumerate(found) if item not in found[:n]]  # the store keeps only one of them


LITERALS = st.sampled_from(['"alpha"', "1", "7", "true"]) | st.sampled_from([
    '"alpha"', '"Beta"', '"b\\\\s"', '"7"', '""', "1", "7", "-7", "2.5", "7.0", "5ms", "true", "false",
    "4611686018427387904",
])  # fmt: skip
PATTERNS = st.sampled_from(
    [
        '"al.*"',
        '"(?i).*ALPHA.*"',
        '"(?i).*50%.*"',
        '".*a$.*"',
        '".*^a.*"',
        '".*"',
        '"alpha|7|Beta"',
        '"[^a]+"',
        '".*al.*"',
        '"two.lines"',
    ]
)
PLACES = st.sampled_from(["", "span", "resource", "event", "link", "instrumentation", "parent", "parent.resource"])
OPERATORS = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
ATTRIBUTE = st.builds("{}.{}".format, PLACES, st.sampled_from(KEYS))
INTRINSIC_CONDITIONS = st.sampled_from([
    'name = "a"', 'name != "a"', 'name =~ "a|b"', 'name > "a"', "status = error", "status != error", "status = unset",
    "status != unset", "kind = server", "kind = unspecified", "kind != client", "duration > 5ms", "duration <= 9.5ms",
    "duration = 10ms", "duration != 10ms", "duration < 0.5", 'statusMessage = ""', 'statusMessage != ""',
    'statusMessage =~ ".*50%"',
    'rootName = "a"', 'rootName != "a"', 'rootName =~ "<root.*"', 'rootServiceName = "shop"',
    'rootServiceName = "unknown_service"', "traceDuration > 20ms", "nestedSetParent < 0", "nestedSetParent >= 0",
    "nestedSetLeft > 2",
    "span:childCount > 0", 'event:name = "retry"', 'event:name != "retry"', "event:name != nil",
    "event:timeSinceStart > 1ms", f'span:id = "{span_id("s1").hex()}"', f'span:id != "{span_id("s1").hex()}"',
    f'span:parentID = "{span_id("s1").hex()}"', f'trace:id = "{TRACE.hex()}"', f'trace:id != "{TRACE.hex()}"',
    f'link:traceID = "{TRACE.hex()}"', 'link:spanID = "3132333435363738"', 'instrumentation:name = "lib"',
    'trace:id < "8"', 'trace:id >= "e"', 'instrumentation:name = ""', 'instrumentation:version != "1.0"',
    '.service.name = "shop"',
    'resource.service.name != "shop"', "true", "1 = 2",
])  # fmt: skip
CONDITIONS = st.recursive(
    st.builds("{} {} {}".format, ATTRIBUTE, OPERATORS, LITERALS)
    | st.builds("{} {} {}".format, LITERALS, OPERATORS, ATTRIBUTE)
    | st.builds("{} {} {}".format, ATTRIBUTE, st.sampled_from(["=~", "!~"]), PATTERNS)
    | st.builds("{} {} nil".format, ATTRIBUTE, st.sampled_from(["=", "!="]))
    | st.builds("{} {} {}".format, ATTRIBUTE, OPERATORS, ATTRIBUTE)
    | st.builds("{} {} 1 > {}".format, ATTRIBUTE, st.sampled_from("+-*"), ATTRIBUTE)
    | st.builds("{} {} 1 = nil".format, ATTRIBUTE, st.sampled_from("+-*"))
    | st.builds("{} = {}".format, st.just("event.k"), LITERALS)
    | ATTRIBUTE
    | INTRINSIC_CONDITIONS,
    lambda inner: (
        st.builds("({}) && ({})".format, inner, inner)
        | st.builds("({}) || ({})".format, inner, inner)
        | st.builds("!({})".format, inner)
    ),
    max_leaves=4,
)


def is_query(text: str) -> bool:
    """Whether it can be parsed."""
    try:
        parse(text)
    except TraceQLError:
        return False
    return True


FILTERS = (st.builds("{{ {} }}".format, CONDITIONS) | st.just("{ }")).filter(is_query)
RELATIONS = st.sampled_from(
    ["&&", "||", ">", ">>", "<", "<<", "~", "!>", "!>>", "!<", "!<<", "!~", "&>", "&>>", "&<", "&<<", "&~"]
)
SPANSETS = st.recursive(
    FILTERS | st.just("{ }"), lambda inner: st.builds("({} {} {})".format, inner, RELATIONS, inner), max_leaves=3
)
STAGES = FILTERS | st.sampled_from([
    "count() > 1", "count() = 1", "avg(duration) > 5ms", "max(.n) > 2", "sum(.k) >= 7", "min(span.n) != 7",
    "by(.k)", "by(name)", "by(resource.service.name)", "by(rootName)", "coalesce()", "select(.n, status)",
    "max(duration) - min(duration) >= 1ms",
])  # fmt: skip
PIPELINES = st.builds(
    lambda first, rest: " | ".join([first, *rest]),
    SPANSETS | st.sampled_from(["count() > 1", "by(.k)"]),
    st.lists(STAGES, max_size=2),
).filter(is_query)

_BY = st.sampled_from([
    "", "by(name)", "by(status)", "by(kind)", "by(resource.service.name)", "by(.service.name, name)", "by(.k)",
    "by(span.n)", "by(resource.k, status)", "by(rootName)", "by(rootServiceName, span.k)", "by(instrumentation.k)",
    "by(event.k)", "by(parent.k)", "by(nestedSetParent)", "by(instrumentation:name)",
    "by(traceDuration)", "by(resource.k)", "by(resource.n)",
])  # fmt: skip
_FUNCTIONS = st.sampled_from(["rate()", "count_over_time()"]) | st.builds(
    "{}({}{})".format,
    st.sampled_from(["min_over_time", "max_over_time", "sum_over_time", "avg_over_time", "histogram_over_time"]),
    st.sampled_from(["duration", "span.n", ".k", "traceDuration"]),
    st.just(""),
)
_QUANTILES = st.sampled_from(["quantile_over_time(duration, .5, .99)", "quantile_over_time(.n, .9)"])
_COMMON = st.sampled_from([
    "status != ok", "kind != client", "duration >= 1ms", "duration <= 10ms", "name != nil", ".k != nil", ".n != 3",
    'rootName != "c"', "!(.flag = true)", 'resource.service.name != "x"', '!(resource.service.name = "pay")',
])  # fmt: skip
PAIRS = st.builds("{{ {} && {} }}".format, _COMMON | CONDITIONS, _COMMON).filter(is_query)
_SIDES = st.just("{ }") | PAIRS | st.builds("{{ {} }}".format, INTRINSIC_CONDITIONS) | FILTERS
STRUCTURES = st.builds("{} {} {}".format, _SIDES, RELATIONS, _SIDES).filter(is_query)
_COMPARISONS = st.builds("compare({})".format, FILTERS | PAIRS)
_COUNTS = st.builds("{} | {} {}".format, FILTERS | PAIRS | PIPELINES, _FUNCTIONS | _QUANTILES, _BY)
METRICS = (_COUNTS | st.builds("{} | {}".format, FILTERS | PAIRS, _COMPARISONS)).filter(is_query)
