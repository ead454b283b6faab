"""The search: box and fields to the traces that match, their figures, and what may be asked next.

`/search?q=&since=&sort=&cols=&group=op&pin=…`; `forms` has the parameters. htmx asks for the block "results" when a
field changes or while the box is typed into. What the other half of the form says then travels with it: the box where a
field changed, the fields where the box did, so that nobody loses what they are typing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from minitrace.errors import QueryTimeout
from minitrace.present import printable
from minitrace.store.dictionary import AttributeKey
from minitrace.store.groups import Group
from minitrace.store.matches import TraceMatch
from minitrace.store.orders import Order
from minitrace.store.store import Store
from minitrace.traceql.ast import Binary, Intrinsic, Static, Value, static_text
from minitrace.traceql.fields import NO_ROOT
from minitrace.web import columns, forms, terms
from minitrace.web.box import EXAMPLES
from minitrace.web.columns import Column
from minitrace.web.documents import Format
from minitrace.web.facts import facts, facts_of_span
from minitrace.web.fields import FIELDS, STATUSES
from minitrace.web.forms import SearchForm
from minitrace.web.lookup import FoundId, find_ids
from minitrace.web.named import slots_of, store_of
from minitrace.web.overview import shown
from minitrace.web.render import go_to, render, source, target
from minitrace.web.search_exports import MOST_TRACES
from minitrace.web.times import PERIODS, local_text
from minitrace.web.wanted import while_wanted

T = TypeVar("T")

MAX_OPERATIONS = 200  # suggested as names; a thousand of them took half the time of a page
MAX_SUGGESTIONS = 1000  # attribute keys: some applications make them up as they go
ORDERS = {
    Order.NEWEST: "newest first",
    Order.OLDEST: "oldest first",
    Order.LONGEST: "longest first",
    Order.SHORTEST: "shortest first",
    Order.MOST_SPANS: "most spans first",
    Order.FEWEST_SPANS: "fewest spans first",
    Order.MOST_ERRORS: "most errors first",
    Order.NAME: "by name",
}
JOINED = ("cols", "pin")  # parameters that may stand in an address several times


@while_wanted
async def search_page(request: Request) -> Response:
    """What matches; straight to the trace where the box holds the id of one, and to the address that says it best."""
    store, now_ns = store_of(request), time.time_ns()
    parameters = _parameters(request)
    keys = await _attribute_keys(store) if parameters.get("attributes") else []
    form = forms.read_form(parameters, now_ns, keys)
    ids = find_ids(form.text) if form.box.words else []
    if found := await _first_known(store, ids):
        return go_to(request, _trace_url(found))
    if not target(request) and not form.problems and _is_roundabout(request, form):
        return go_to(request, form.url(before=form.before))
    missing = ids[0] if ids and ids[0].exact else None
    context = await _context(store, form, now_ns, missing=missing)
    context |= _merged(form, parameters, is_typing=source(request) == "q")
    response = await render(request, "search.html", 422 if form.problems else 200, **context)
    if target(request) and not form.problems:
        header = "HX-Replace-Url" if source(request) == "q" else "HX-Push-Url"  # what is typed is no step back
        response.headers[header] = request.scope.get("root_path", "") + form.url()
    return response


def _parameters(request: Request) -> dict[str, str]:
    query = request.query_params
    return {**query, **{name: ",".join(query.getlist(name)) for name in JOINED if name in query}}


def _is_roundabout(request: Request, form: SearchForm) -> bool:
    """Whether an address holds fields that the box can say, or what only a form without scripts sends."""
    query = request.query_params
    is_sent = "was" in query or len(query.multi_items()) > len(query)
    return is_sent or any(query.get(name) and name not in form.values for name in FIELDS)


def _merged(form: SearchForm, typed: Mapping[str, str], *, is_typing: bool) -> dict[str, Any]:
    """What a part of the page changes in the form, and what the next one is compared with.

    The box is left alone while somebody types in it: changes of fields that it does not say yet are made again then.
    """
    text = typed.get("q", "")
    return {
        "is_behind": is_typing and form.text != text,
        "rewrites_box": form.text != text and not is_typing,
        "rewritten": [name for name, shown in form.controls.items() if shown != typed.get(name, "")],
        "was": text if is_typing and not form.problems else form.was,
    }


async def _context(store: Store, form: SearchForm, now_ns: int, *, missing: FoundId | None) -> dict[str, Any]:
    """All that the page shows. What it asks of the store runs at the same time."""
    has_question = not form.problems and not missing
    began = time.perf_counter()
    result, groups, overview, slots, operations, keys = await asyncio.gather(
        store.search(form.search) if has_question and not form.is_grouped else _nothing(None),
        store.groups(form.search) if has_question and form.is_grouped else _nothing(None),
        store.overview(form.search, form.pins) if has_question else _nothing(None),
        slots_of(store),
        _operations(store, form.controls["service"]),
        _attribute_keys(store),
    )
    elapsed_ns = int((time.perf_counter() - began) * 1e9)
    matches = result.matches if result else []
    return {
        "form": form,
        "result": result,
        "groups": groups,
        "group_url": lambda group: _group_url(form, group),
        "overview": overview,
        "missing": missing,
        "missing_logs": await store.log_count(missing.trace_id) if missing else 0,
        "saved": await store.saved_searches(),
        "elapsed_ns": elapsed_ns,
        "longest_ns": max((match.summary.duration_ns for match in matches), default=0),
        "now_ns": now_ns,
        "frozen_url": _frozen_url(form, now_ns),
        "slots": slots,
        "operations": operations,
        "keys": terms.suggestions(keys)[:MAX_SUGGESTIONS],
        "unknown_keys": await _unknown_keys(store, form) if has_question and not matches and not groups else {},
        "shown_by": [*columns.OWN.values(), *(column for column in form.columns if column.field)],
        "values_in": values_in,
        "orders": ORDERS,
        "periods": PERIODS,
        "statuses": list(STATUSES),
        "examples": EXAMPLES,
        "formats": list(Format),
        "most_exported": MOST_TRACES,
        "facts": facts,
        "facts_of_span": facts_of_span,
        **shown(overview, form, keys),
    }


def values_in(match: TraceMatch, column: Column) -> list[str]:
    """The distinct values of a field in the first spans that match, as text."""
    assert column.field, "columns of every trace have a place of their own"
    name = column.field.name
    found = [span.name if name == "name" else span.attributes.get(name) for span in match.spans]
    texts = (value if isinstance(value, str) else _value_text(value) for value in found if value is not None)
    return list(dict.fromkeys(map(printable, texts)))


def _value_text(value: Value) -> str:
    return f"[{', '.join(map(_value_text, value))}]" if isinstance(value, list) else static_text(value)


def _group_url(form: SearchForm, group: Group) -> str:
    """The search for the traces of a group; "" where words leave no place for that."""
    service = Binary("=", Intrinsic("rootServiceName"), Static(NO_ROOT if group.service is None else group.service))
    name = Binary("=", Intrinsic("rootName"), Static(NO_ROOT if group.name is None else group.name))
    return form.narrowed(Binary("&&", service, name), group=None)


def _frozen_url(form: SearchForm, now_ns: int) -> str:
    """The search from the same moment to now, for good; "" where it has its moments already."""
    if "since" not in form.values or "from" in form.values or form.start_ns is None:
        return ""
    to = form.values.get("to") or local_text(now_ns + 999_999)
    return form.url(**{"from": local_text(form.start_ns), "to": to, "before": form.before})


async def _first_known(store: Store, ids: list[FoundId]) -> FoundId | None:
    known = await store.known([found.trace_id for found in ids]) if ids else []
    return next((found for found in ids if found.trace_id in known), None)


async def _operations(store: Store, service: str) -> list[str]:
    """What to suggest as names; none is better than an error page."""
    try:
        return await store.operations(service or None, limit=MAX_OPERATIONS)
    except QueryTimeout:
        return []


async def _attribute_keys(store: Store) -> list[AttributeKey]:
    """What to suggest as attributes; none is better than an error page."""
    try:
        return await store.attribute_keys()
    except QueryTimeout:
        return []


async def _unknown_keys(store: Store, form: SearchForm) -> dict[str, list[str]]:
    """The attributes asked for that nothing has, and what there is instead."""
    keys = await _attribute_keys(store) if form.attributes else []
    return terms.unknown(form.attributes, keys) if keys else {}


async def _nothing(value: T) -> T:
    return value


def _trace_url(found: FoundId) -> str:
    return f"/trace/{found.trace_id.hex()}" + (f"?span={found.span_id.hex()}" if found.span_id else "")


routes = [Route("/search", search_page)]
