"""What the matching spans have in common: values of a few fields, each a link that asks for it or no longer does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from minitrace import model, present
from minitrace.store.facets import Facet, FacetValue
from minitrace.traceql.ast import Attribute, Binary, Intrinsic, Query, Static, Value
from minitrace.web.forms import SearchForm
from minitrace.web.queries import condition
from minitrace.web.refining import conditions, has

AT_ONCE = 6  # values; more are behind a click
STANDING = 4  # facets that are always there; those behind are pinned
_TITLES = {"resource.service.name": "Service", "name": "Operation", "status": "Status", "kind": "Kind"}


@dataclass(frozen=True, slots=True)
class FacetLine:
    """A value. `url` toggles it, `without_url` asks for the others; "" where no query can say so."""

    text: str
    count: int
    share: float  # per cent of the commonest value's count
    url: str
    without_url: str
    is_wanted: bool = False
    is_unwanted: bool = False


@dataclass(frozen=True, slots=True)
class FacetList:
    """A facet: its first lines, and those behind a click; `more` further values are not listed."""

    name: str
    title: str
    lines: list[FacetLine]
    rest: list[FacetLine]
    more: int
    unpin_url: str | None

    @property
    def is_of_services(self) -> bool:
        """Whether its values are services, which have colours."""
        return self.name == "resource.service.name"


def facet_lists(facets: Sequence[Facet], form: SearchForm) -> list[FacetList]:
    """The facets that have values, and those that are pinned."""
    pinned = [str(facet.field) for facet in facets[STANDING:]]
    shown = [_list(facet, form, pinned) for facet in facets]
    return [one for one in shown if one.lines or one.unpin_url]


def _list(facet: Facet, form: SearchForm, pinned: Sequence[str]) -> FacetList:
    name = str(facet.field)
    lines = [*_asked_for(facet, form), *(_line(facet, value, form) for value in facet.values)]
    lines.sort(key=lambda line: not (line.is_wanted or line.is_unwanted))
    others = [other for other in pinned if other != name]
    return FacetList(
        name,
        _TITLES.get(name, name.removeprefix(".")),
        lines[:AT_ONCE],
        lines[AT_ONCE:],
        facet.more,
        form.url(pin=",".join(others)) if name in pinned else None,
    )


def _line(facet: Facet, value: FacetValue, form: SearchForm) -> FacetLine:
    wanted, unwanted = condition(facet.field, "=", value.value), condition(facet.field, "!=", value.value)
    is_wanted = bool(wanted and has(form.query, wanted))
    return FacetLine(
        _text(facet.field, value.value),
        value.count,
        round(value.count / max(1, facet.values[0].count) * 100, 1),
        form.toggled(wanted) if wanted else "",
        form.toggled(unwanted) if unwanted and not is_wanted else "",
        is_wanted,
    )


def _asked_for(facet: Facet, form: SearchForm) -> Iterator[FacetLine]:
    """What the query says of the field, as far as no matching span has it: it must be possible to take it back."""
    there = {Static(value.value) for value in facet.values}
    for one, value in _comparisons(form.query, facet.field):
        if value not in there:
            is_wanted = one.operator == "="
            text = _text(facet.field, value.value)
            yield FacetLine(text, 0, 0.0, form.toggled(one), "", is_wanted, not is_wanted)


def _comparisons(query: Query, field: Attribute | Intrinsic) -> Iterator[tuple[Binary, Static]]:
    for one in conditions(query):
        if (
            isinstance(one, Binary)
            and one.left == field
            and one.operator in ("=", "!=")
            and isinstance(one.right, Static)
        ):
            yield one, one.right


def _text(field: Attribute | Intrinsic, value: Value) -> str:
    if isinstance(field, Intrinsic) and field.name in ("kind", "status") and isinstance(value, int):
        return present.kind(value) if field.name == "kind" else present.status(value)
    if value is None:
        return model.UNKNOWN_SERVICE if str(field) == "resource.service.name" else "(none)"
    return present.value(cast(model.Value, value)) or "(empty)"
