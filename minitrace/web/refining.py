"""Queries to narrower and wider ones: one condition more, or one less.

```
{ .a = 1 }                   + status = error    { .a = 1 && status = error }
{ .a } >> { .b }             + status = error    { .a } >> { .b } | { status = error }
{ .a = 1 } | count() > 3     + status = error    { .a = 1 } | count() > 3 | { status = error }
{ .a = 1 } | count() > 3     - .a = 1            { } | count() > 3
```

A condition goes into the last filter, or behind the last stage where an earlier place would change what is counted. It
is taken from whichever filter has it. All are pure functions of queries that give traces; others fail an assertion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

from minitrace.traceql.ast import Binary, Coalesce, Field, GroupBy, Pipeline, Query, Select, SpansetFilter, Stage

EVERYTHING = Query(Pipeline((SpansetFilter(),)))


def conditions(query: Query) -> list[Field]:
    """What every span that is found must fulfil: the parts, joined by &&, of the filters that are stages."""
    return [part for stage in _stages(query) if isinstance(stage, SpansetFilter) for part in parts(stage.condition)]


def has(query: Query, condition: Field) -> bool:
    """Whether a condition is one of the query's, or all its parts are."""
    there = conditions(query)
    return all(part in there for part in parts(condition))


def added(query: Query, condition: Field) -> Query:
    """The query for those of its spans that fulfil this as well; itself where it has the condition."""
    there = conditions(query)
    wanted = [part for part in parts(condition) if part not in there]
    if not wanted:
        return query
    stages = _stages(query)
    place = _last_filter(stages)
    if place is None:
        return _with(query, [*stages, SpansetFilter(all_of(wanted))])
    found = stages[place]
    assert isinstance(found, SpansetFilter)
    stages[place] = SpansetFilter(all_of([*parts(found.condition), *wanted]))
    return _with(query, stages)


def removed(query: Query, condition: Field) -> Query:
    """The query without this condition; filters behind the first that are left empty go."""
    unwanted = parts(condition)
    stages: list[Stage] = []
    for stage in _stages(query):
        if not isinstance(stage, SpansetFilter):
            stages.append(stage)
        elif (left := [part for part in parts(stage.condition) if part not in unwanted]) or not stages:
            stages.append(SpansetFilter(all_of(left)))
    return _with(query, stages)


def parts(condition: Field | None) -> list[Field]:
    """The conditions that are joined by &&, from left to right."""
    if isinstance(condition, Binary) and condition.operator == "&&":
        return [*parts(condition.left), *parts(condition.right)]
    return [] if condition is None else [condition]


def all_of(wanted: Sequence[Field]) -> Field | None:
    """Conditions joined by &&; None for none."""
    # && and || bind alike: only on the right does a condition with || get the parentheses that people expect
    in_order = sorted(wanted, key=lambda one: isinstance(one, Binary) and one.operator == "||")
    return reduce(lambda left, right: Binary("&&", left, right), in_order) if in_order else None


def _last_filter(stages: Sequence[Stage]) -> int | None:
    """The filter behind which nothing depends on how many spans there are."""
    for place in reversed(range(len(stages))):
        if isinstance(stages[place], SpansetFilter):
            return place
        if not isinstance(stages[place], GroupBy | Coalesce | Select):
            break
    return None


def _stages(query: Query) -> list[Stage]:
    assert isinstance(query.root, Pipeline), "series have no conditions of their own"
    return list(query.root.stages)


def _with(query: Query, stages: Sequence[Stage]) -> Query:
    return replace(query, root=Pipeline(tuple(stages)))
