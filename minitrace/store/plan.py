"""A TraceQL pipeline to what the store looks for first.

`cover` turns the condition of one `{ … }` into a tree of `conditions.py` that holds for every span for which the
condition holds, and says if for no other. `plan` puts the filters of a pipeline together:

- ``{a} && {b}`` and ``{a} >> {b}`` need a span for a, and one for b: a trace without one of them is not looked at.
- ``{a} || {b}`` needs a span for either.
- ``{a} !>> {b}`` needs a span for b only.
- ``{a} | {b}`` needs a span for both.

A plan is *exact* if the spans that fulfil it are the answer: that is so for filters with an exact tree, one behind
the other.
Otherwise the traces that it finds are loaded, and evaluated. `select()` makes no difference.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from itertools import takewhile

from minitrace.model import Kind, StatusCode
from minitrace.store.conditions import (
    ALL,
    NOTHING,
    UNKNOWN,
    Column,
    Condition,
    HasKey,
    HasValue,
    HasWord,
    Not,
    OfTrace,
    all_of,
    parts_of,
    some_of,
)  # fmt: skip
from minitrace.store.segment import EVENT_SCOPE, INTRINSIC, LINK_SCOPE, RESOURCE_SCOPE, SPAN_SCOPE
from minitrace.store.traces import EVERYTHING, Wanted
from minitrace.traceql.ast import (
    ARITHMETIC,
    COMPARISONS,
    LOGIC,
    Attribute,
    Binary,
    Compare,
    Field,
    Intrinsic,
    Node,
    Pipeline,
    ScalarPipeline,
    Select,
    SpansetFilter,
    SpansetOperation,
    Static,
    Unary,
    Value,
)  # fmt: skip
from minitrace.traceql.evaluate import is_never
from minitrace.traceql.fields import compile_test

MOST_PAIRS = 9  # of what both sides of || need
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}
_COLUMNS = {"duration": "duration_ns", "status": "status", "kind": "kind"}
OF_TREE = ("nestedSetLeft", "nestedSetRight", "nestedSetParent", "span:childCount")
_OF_TRACE = ("rootName", "rootServiceName", "traceDuration", "trace:id")
_TEXTS = ("name", "statusMessage", "event:name", "instrumentation:name", "instrumentation:version")
_IDS = {"span:id": 16, "link:traceID": 32}  # and their digits
IS_ROOT = Column("parent_id", "IS", None)
_ROOTS = {  # what nestedSetParent is -1 for, and 0 or more for all others
    ("<", 0): True, ("<=", -1): True, ("=", -1): True,
    (">=", 0): False, (">", -1): False, ("!=", -1): False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """What a trace must have to be an answer: for each of `needs`, a span for which it holds.

    There must be at least `least` such spans in all. To evaluate a trace only its spans that meet `spans` are wanted;
    all of them for None.
    """

    needs: tuple[Condition, ...] = (ALL,)
    least: int = 1
    spans: Condition | None = None
    is_exact: bool = False
    is_never: bool = False

    @property
    def of_trace(self) -> tuple[OfTrace, ...]:
        """What must hold of the trace as a whole."""
        return tuple(part for need in self.needs for part in parts_of(need) if isinstance(part, OfTrace))

    def __str__(self) -> str:
        if self.is_never:
            return "nothing"
        least = f", on {self.least} spans" if self.least > 1 and self.needs != (ALL,) else ""
        return " with ".join(map(str, self.needs)) + least + ("" if self.is_exact else ", then evaluate")

    @property
    def is_of_roots(self) -> bool:
        """Whether all spans that are found have no parent."""
        return self.is_exact and IS_ROOT in parts_of(self.needs[0])


def plan(pipeline: Pipeline, words: Sequence[str] = ()) -> Plan:
    """What to look for; spans must have all the words, too."""
    if is_never(pipeline):
        return Plan(is_never=True)
    with_words = [HasWord(word) for word in dict.fromkeys(words)]
    needs = [all_of([*with_words, need]) for need in _needs(pipeline)] or [all_of(with_words)]
    is_exact = all(isinstance(stage, SpansetFilter | Select) for stage in pipeline.stages) and needs[0].is_exact
    if NOTHING in needs:
        return Plan(is_never=True)
    said = [need for need in dict.fromkeys(needs) if need not in (ALL, UNKNOWN)]
    least = _least(pipeline) if len(said) == len(set(needs)) else 1  # else nothing is known of some of the spans
    needs = said or [ALL]
    return Plan(tuple(needs), least, _wanted_spans(pipeline), is_exact)


def cover(condition: Field | None) -> Condition:
    """What holds for every span for which the condition of a filter holds."""
    return ALL if condition is None else _cover(condition, True)


@singledispatch
def _needs(node: Node) -> list[Condition]:
    """What any trace must have that is let through; nothing is known of by(), count() and the like."""
    return []  # ({a} | count()) > ({b} | count()) is met by traces without b, and = by those without both


@_needs.register
def _(node: SpansetFilter) -> list[Condition]:
    return [cover(node.condition)]


@_needs.register
def _(node: SpansetOperation) -> list[Condition]:
    left, right = _needs(node.left), _needs(node.right)
    if node.operator == "||":
        if not (left and right):
            return []
        if len(left) * len(right) > MOST_PAIRS:
            return [some_of((*left, *right))]
        return [some_of((one, other)) for one in left for other in right]
    return right if node.operator.startswith("!") else left + right


@_needs.register
def _(node: Pipeline) -> list[Condition]:
    found: list[Condition] = []
    last: SpansetFilter | None = None
    for stage in node.stages:
        if isinstance(stage, SpansetFilter) and last is not None:  # the same span must pass both
            found[-1] = all_of((found[-1], cover(stage.condition)))
        else:
            found += _needs(stage)
        if not isinstance(stage, Select):
            last = stage if isinstance(stage, SpansetFilter) else None
    return found


def _least(node: Node) -> int:
    """How many spans a trace must have: no span is its own parent, child or sibling."""
    match node:
        case Pipeline(stages):
            return max(map(_least, stages))
        case SpansetOperation("||", left, right):
            return min(_least(left), _least(right))
        case SpansetOperation("&&", left, right):
            return max(_least(left), _least(right))
        case SpansetOperation(operator, left, right):
            return _least(right) if operator.startswith("!") else max(2, _least(left), _least(right))
    return 1


def _wanted_spans(pipeline: Pipeline) -> Condition | None:
    """The spans that make a difference: those that the first filters let through; None if a trace is wanted whole."""
    if is_about_trace(pipeline):
        return None
    wanted = _let_through(pipeline)
    return None if wanted in (ALL, UNKNOWN) else wanted


def is_about_trace(node: Node) -> bool:
    """Whether a part of a query asks for other spans of the trace than those it looks at, or for their order."""
    return any(map(_asks_for_others, node.walk()))


def _asks_for_others(node: Node) -> bool:
    match node:
        case SpansetOperation(operator=operator):
            return operator not in LOGIC
        case Intrinsic(name):
            return name in _OF_TRACE or name in OF_TREE
        case Attribute(of_parent=of_parent):
            return of_parent
    return isinstance(node, ScalarPipeline)


def _let_through(node: Node) -> Condition:
    """The spans that the first filters of a pipeline let through."""
    match node:
        case SpansetFilter():
            return cover(node.condition)
        case SpansetOperation(left=left, right=right):
            return some_of((_let_through(left), _let_through(right)))
        case Pipeline(stages) if isinstance(stages[0], SpansetFilter):
            first = takewhile(lambda stage: isinstance(stage, SpansetFilter | Select), stages)
            return all_of(map(_let_through, first))
        case Pipeline(stages):
            return _let_through(stages[0])
    return ALL


def _cover(node: Field, wanted: bool) -> Condition:
    """What holds for every span for which the truth of a field is as wanted; what is missing is not true."""
    match node:
        case Static(value=bool() as value):
            return ALL if value is wanted else NOTHING
        case Attribute():
            return _wanted(_compare(node, "is", Static(True)), wanted)
        case Unary(operator="!", operand=Attribute() as operand):  # says that it is there, and false
            return _wanted(_compare(operand, "is", Static(False)), wanted)
        case Unary(operator="!", operand=operand):
            return _cover(operand, not wanted)
        case Binary(operator="&&" | "||"):
            return _cover_logic(node, wanted)
        case Binary(operator=operator) if operator in COMPARISONS:
            return _wanted(_cover_comparison(node), wanted)
    return UNKNOWN


def _wanted(condition: Condition, wanted: bool) -> Condition:
    if wanted:
        return condition
    if not condition.is_exact or isinstance(condition, OfTrace):
        return UNKNOWN
    return condition.part if isinstance(condition, Not) else Not(condition)


def _cover_logic(node: Binary, wanted: bool) -> Condition:
    parts = _flat(node, node.operator)
    covered = [_cover(part, wanted) for part in parts]
    if node.operator == "&&" and sum(map(_is_about_events, parts)) > 1:
        covered.append(UNKNOWN)  # the conditions must meet on one event
    return all_of(covered) if (node.operator == "&&") is wanted else some_of(covered)


def _flat(node: Field, operator: str) -> list[Field]:
    """The operands of a chain of one operator."""
    if not (isinstance(node, Binary) and node.operator == operator):
        return [node]
    return _flat(node.left, operator) + _flat(node.right, operator)


def _is_about_events(node: Field) -> bool:
    """Whether it is about one event or link out of many."""
    return any(
        (isinstance(part, Attribute) and part.scope in (EVENT_SCOPE, LINK_SCOPE))
        or (isinstance(part, Intrinsic) and part.name.startswith(("event:", "link:")))
        for part in node.walk()
    )


def _cover_comparison(node: Binary) -> Condition:
    operator, left, right = node.operator, node.left, node.right
    if isinstance(left, Static) and not isinstance(right, Static) and operator in _FLIPPED:
        operator, left, right = _FLIPPED[operator], right, left
    if isinstance(right, Static):
        if isinstance(left, Attribute):
            return _compare(left, operator, right)
        if isinstance(left, Intrinsic):
            return _compare_intrinsic(left.name, operator, right)
    if operator == "=" and Static(None) in (left, right):
        return UNKNOWN  # .a + 1 = nil holds where .a is missing
    return all_of([*_present(left), *_present(right), UNKNOWN])


def _present(node: Field) -> list[Condition]:
    """What must be there for arithmetic to have a value."""
    parts = list(node.walk())
    if any(isinstance(part, Binary | Unary) and part.operator not in ARITHMETIC for part in parts):
        return []
    return [_has(part) for part in parts if isinstance(part, Attribute) and not part.of_parent]


def _has(attribute: Attribute) -> Condition:
    if attribute.scope is None:
        return some_of(HasKey(scope, attribute.name) for scope in (SPAN_SCOPE, RESOURCE_SCOPE))
    return HasKey(attribute.scope, attribute.name)


def _compare(attribute: Attribute, operator: str, literal: Static) -> Condition:
    if attribute.of_parent:
        return UNKNOWN
    if literal.value is None:
        return _compare_nil(attribute, operator)
    if attribute.scope is not None:
        return HasValue(attribute.scope, attribute.name, operator, literal)
    own, of_resource = (HasValue(scope, attribute.name, operator, literal) for scope in (SPAN_SCOPE, RESOURCE_SCOPE))
    # What the span has hides what its resource has, whatever it is.
    return some_of((own, all_of((of_resource, Not(HasKey(SPAN_SCOPE, attribute.name))))))


def _compare_nil(attribute: Attribute, operator: str) -> Condition:
    if operator == "!=":
        return _has(attribute)
    if attribute.scope in (EVENT_SCOPE, LINK_SCOPE):
        return UNKNOWN  # some event lacks it
    scopes = (attribute.scope,) if attribute.scope else (SPAN_SCOPE, RESOURCE_SCOPE)
    return all_of(Not(HasKey(scope, attribute.name)) for scope in scopes)


def _compare_intrinsic(name: str, operator: str, literal: Static) -> Condition:
    value = literal.value
    if value is None:
        return UNKNOWN if name.startswith(("event:", "link:", "span:parent")) else ALL
    if name in _COLUMNS:
        return _compare_column(name, operator, value)
    if name in _OF_TRACE:
        is_ordered = name == "trace:id" and operator in ("<", "<=", ">", ">=")  # of its text, without leading zeros
        return UNKNOWN if is_ordered else OfTrace(name, operator, literal)
    if name == "nestedSetParent" and type(value) is int:
        is_root = _ROOTS.get((operator, value))
        return UNKNOWN if is_root is None else IS_ROOT if is_root else Column("parent_id", "IS NOT", None)
    if name in _IDS and operator == "=" and isinstance(value, str):
        return _compare_id(name, value)
    if name in _TEXTS and isinstance(value, str):
        return _compare_text(name, operator, literal)
    return UNKNOWN


def _compare_column(name: str, operator: str, value: Value) -> Condition:
    if name == "duration":
        number = value if isinstance(value, int | float) else None
        return UNKNOWN if number is None else Column("duration_ns", operator, number + 0)
    if not isinstance(value, StatusCode | Kind):
        return UNKNOWN
    if value:
        return Column(_COLUMNS[name], operator, int(value))
    # a number that is none of ours counts as unset
    known = [Column(_COLUMNS[name], "=", int(member)) for member in type(value) if member]
    return some_of(known) if operator == "!=" else all_of(map(Not, known))


def _compare_text(name: str, operator: str, literal: Static) -> Condition:
    has = HasValue(INTRINSIC, name, operator, literal)
    if name == "statusMessage" and compile_test(operator, literal.value)(""):
        return some_of((has, Not(HasKey(INTRINSIC, name))))  # an empty message has no token
    return has


def _compare_id(name: str, text: str) -> Condition:
    """Ids may be written in any case, and without leading zeros."""
    digits = text.lower().lstrip("0").zfill(_IDS[name])
    if len(digits) != _IDS[name] or not re.fullmatch("[0-9a-f]+", digits):
        return NOTHING
    if name == "span:id":
        return Column("span_id", "=", bytes.fromhex(digits))
    return HasValue(INTRINSIC, name, "=", Static(digits))


def has_patterns(node: Node) -> bool:
    """Whether regular expressions are to be matched."""
    return any(isinstance(part, Binary) and part.operator in ("=~", "!~") for part in node.walk())


def wanted_by(*nodes: Node) -> Wanted:
    """What spans must be loaded with for these parts of a query to be evaluated; always with their service's name."""
    attributes = {(RESOURCE_SCOPE, "service.name")}
    details = False
    for node in (part for root in nodes for part in root.walk()):
        if isinstance(node, Compare):
            return EVERYTHING
        if isinstance(node, Attribute):
            scopes = (node.scope,) if node.scope else (SPAN_SCOPE, RESOURCE_SCOPE)
            attributes |= {(scope, node.name) for scope in scopes}
        details |= isinstance(node, Intrinsic) and node.name == "statusMessage"
        details |= isinstance(node, Attribute | Intrinsic) and _is_about_events(node)
    return Wanted(frozenset(attributes), details)
