"""`/red`: rates, errors and durations of all services, of a service's operations, or of one operation.

htmx asks for the block "red" when a field changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from minitrace.store.figures import Figures
from minitrace.store.red import RedAnswer, RedExemplar, RedSeries
from minitrace.store.store import Store
from minitrace.web.named import slots_of, store_of
from minitrace.web.queries import MAX_LENGTH
from minitrace.web.red_charts import SHARES, charts, exemplar_url, spark
from minitrace.web.red_form import KINDS, RedForm, Searches, read_form
from minitrace.web.render import render, target
from minitrace.web.times import PERIODS, USUAL_PERIOD
from minitrace.web.wanted import while_wanted

MOST_ROWS = 100
MOST_EXEMPLARS = 5  # of the slowest, and of those that failed


@dataclass(frozen=True, slots=True)
class Shown:
    """Figures as they are read: `quantiles` by name, in nanoseconds."""

    figures: Figures
    quantiles: dict[str, int]

    @classmethod
    def of(cls, figures: Figures) -> Shown:
        """Those of some figures."""
        values = figures.histogram.quantiles(SHARES.values())
        return cls(figures, dict(zip(SHARES, map(round, values), strict=True)))


@dataclass(frozen=True, slots=True)
class Row:
    """A service or an operation; None for all others together.

    `rate_path` is its rate over time, `slowest_path` the duration of its slowest span; `share` is its part of the
    durations of all.
    """

    subject: str | None
    now: Shown
    before: Shown | None
    rate_path: str
    slowest_path: str
    share: float
    searches: Searches | None


@while_wanted
async def red_page(request: Request) -> Response:
    """The figures of a range of time, and what they are made of."""
    store = store_of(request)
    form = read_form(request.query_params, time.time_ns())
    address = form.address(request.scope.get("root_path", ""))
    context: dict[str, Any] = {"answer": None} if form.problems else await _context(store, form)
    response = await render(
        request,
        "red.html",
        422 if form.problems else 200,
        form=form,
        url=address.url,
        kinds={name: text for name, (text, _) in KINDS.items()},
        periods=PERIODS,
        usual_period=USUAL_PERIOD,
        slots=await slots_of(store),
        shares=tuple(SHARES),
        exemplar_url=exemplar_url,
        **context,
    )
    if target(request) and not form.problems:
        response.headers["HX-Push-Url"] = address.url()
    return response


async def _context(store: Store, form: RedForm) -> dict[str, Any]:
    answer = await store.red(form.question)
    rows = sorted_rows(answer, form)
    return {
        "answer": answer,
        "range_ns": answer.question.end_ns - answer.question.start_ns,
        "now": Shown.of(answer.figures),
        "before": Shown.of(answer.before) if answer.before and answer.before.count else None,
        "charts": charts(answer),
        "rows": rows[:MOST_ROWS],
        "row_count": len(rows),
        "searches": Searches(answer.question),
        "remembered": remembered(answer.exemplars),
        "elsewhere": await _elsewhere(store, answer),
        "hidden": await _hidden(store, answer),
    }


async def _elsewhere(store: Store, answer: RedAnswer) -> int:
    """How many spans of other kinds there are, where there is none of those that were asked for."""
    if answer.figures.count or not answer.question.kinds:
        return 0
    wider = replace(answer.question, kinds=frozenset(), is_compared=False)
    return (await store.red(wider)).figures.count


async def _hidden(store: Store, answer: RedAnswer) -> int:
    """Of a service without spans: how many there are of services that are not told apart, of which it may be one."""
    if answer.figures.count or not answer.question.service:
        return 0
    wider = replace(answer.question, service=None, operation=None, is_compared=False)
    return (await store.red(wider)).others


def sorted_rows(answer: RedAnswer, form: RedForm) -> list[Row]:
    """The rows of the table in the order that the form asks for."""
    rows = [_row(series, answer) for series in answer.series]
    return sorted(rows, key=_KEYS[form.order.name], reverse=form.order.is_descending)


def _row(series: RedSeries, answer: RedAnswer) -> Row:
    subject, whole_ns = series.subject, answer.figures.duration_ns
    has_search = subject is not None and len(subject) <= MAX_LENGTH
    return Row(
        subject,
        Shown.of(series.figures),
        Shown.of(series.before) if series.before and answer.before and answer.before.count else None,
        spark(series.counts),
        spark(series.slowest_ns),
        series.figures.duration_ns / whole_ns if whole_ns else 0.0,
        Searches(answer.question, subject) if has_search else None,
    )


def remembered(exemplars: list[RedExemplar]) -> list[RedExemplar]:
    """Those that failed and those that did not, the slowest of each first, a few of each."""
    slowest = sorted(exemplars, key=lambda one: -one.duration_ns)
    failed = [one for one in slowest if one.is_error][:MOST_EXEMPLARS]
    return failed + [one for one in slowest if not one.is_error][:MOST_EXEMPLARS]


_KEYS: dict[str, Callable[[Row], Any]] = {
    "subject": lambda row: row.subject or "",
    "rate": lambda row: row.now.figures.count,
    "errors": lambda row: row.now.figures.error_share,
    "p50": lambda row: row.now.quantiles["p50"],
    "p95": lambda row: row.now.quantiles["p95"],
    "p99": lambda row: row.now.quantiles["p99"],
    "impact": lambda row: row.now.figures.duration_ns,
}

routes = [Route("/red", red_page)]
