"""What can be read and means nothing, and what is probably not meant."""

from __future__ import annotations

import pytest

from minitrace.errors import TraceQLError
from minitrace.traceql.check import warnings
from minitrace.traceql.parser import parse

# A field of each type
OF_TYPE = {
    "string": 'name', "bool": "true", "number": "duration", "status": "status", "kind": "kind", "unknown": ".a",
}  # fmt: skip


def is_accepted(query: str) -> bool:
    try:
        parse(query)
    except TraceQLError:
        return False
    return True


@pytest.mark.parametrize("left", OF_TYPE)
@pytest.mark.parametrize("right", OF_TYPE)
def test_operands_must_be_of_one_type_or_unknown(left: str, right: str) -> None:
    goes_together = left == right or "unknown" in (left, right)
    assert is_accepted(f"{{ {OF_TYPE[left]} = {OF_TYPE[right]} }}") == goes_together


@pytest.mark.parametrize(
    ("operator", "types"),
    [
        ("&&", {"bool", "unknown"}),
        ("=", {"string", "bool", "number", "status", "kind", "unknown"}),
        ("<", {"string", "number", "unknown"}),
        ("+", {"number", "unknown"}),
    ],
)
def test_an_operator_takes_the_types_it_suits(operator: str, types: set[str]) -> None:
    accepted = {name for name, text in OF_TYPE.items() if is_accepted(f"{{ ({text} {operator} {text}) = .x }}")}
    assert accepted == types


@pytest.mark.parametrize(("text", "is_condition"), [("true", True), (".a", True), (".a + .b", True), (".a + 1", False),
                         ("1 + .a", False), ("name", False), ("duration", False), (".a = 1", True)])  # fmt: skip
def test_a_filter_needs_a_condition(text: str, is_condition: bool) -> None:
    assert is_accepted(f"{{ {text} }}") == is_condition


@pytest.mark.parametrize(
    "intrinsic", ["name", "duration", "status", "span:id", "nestedSetLeft", "resource.service.name"]
)
def test_what_every_span_has_is_never_nil(intrinsic: str) -> None:
    assert not is_accepted(f"{{ {intrinsic} = nil }}")
    assert not is_accepted(f"{{ nil = {intrinsic} }}")
    assert is_accepted(f"{{ {intrinsic} != nil }}")


@pytest.mark.parametrize(
    "query",
    [
        "{ } | 1 < count()",
        "{ } | max(.a) - min(.a) > 3",
        "{ } | min(.a) < max(.b)",
        "({ .a } | count()) > ({ .b } | count())",
        "{ parent.a = parent.span.b && parent.resource.c != nil }",
    ],
)
def test_more_is_taken_than_tempo_takes(query: str) -> None:
    assert is_accepted(query)


@pytest.mark.parametrize(
    ("query", "is_fine"),
    [
        ("{ } | rate() by(.a, .b, .c, .d, .e)", True),
        ("{ } | avg_over_time(.x) by(.a, .b, .c, .d)", True),
        ("{ } | avg_over_time(.x) by(.a, .b, .c, .d, .e)", False),
        ("{ } | quantile_over_time(.x, 0, 1)", True),
        ("{ } | quantile_over_time(.x, 1.01)", False),
        ("{ } | compare({ .a }, 1000)", True),
        ("{ } | compare({ .a }, 1001)", False),
        ("{ } | compare({ .a }, 10, 5, 6)", True),
        ("{ } | compare({ .a }, 10, 0, 6)", False),
        ("{ } | compare({ .a }, 10, 6, 6)", False),
        ("{ } | compare({ status > ok })", False),
        ("({ } | rate()) * 10", True),
        ("10s * ({ } | rate())", False),
        ("({ } | rate()) / (({ } | rate()) + 10s)", False),
        ("({ } | rate()) > 10s", True),
    ],
)
def test_arguments_of_metrics_have_ranges(query: str, is_fine: bool) -> None:
    assert is_accepted(query) == is_fine


def test_the_error_points_at_the_operation_that_is_wrong() -> None:
    query = "{ .a = 1 && (.b || name > 5) }"
    with pytest.raises(TraceQLError) as refused:
        parse(query)
    assert query[refused.value.start : refused.value.end] == "name > 5"


@pytest.mark.parametrize("text", ["span.kind", ".duration", ".status", "resource.status", "span.name"])
def test_an_attribute_with_the_name_of_an_intrinsic_is_warned_of(text: str) -> None:
    query = f"{{ {text} != nil }}"
    [warning] = warnings(parse(query))
    assert f"did you mean {text.split('.')[1]}" in warning.message
    assert query[slice(*warning.at)] == text


def test_a_hint_that_nobody_reads_is_warned_of() -> None:
    [warning] = warnings(parse('{ } | rate() with(exemplars=true, colour="red")'))
    assert "no hint colour" in warning.message


def test_nothing_is_warned_of_in_a_usual_query() -> None:
    assert warnings(parse('{ kind = server && span.http.route = "/" && parent.name = 1 } with(most_recent=true)')) == []
