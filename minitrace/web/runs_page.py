"""`/runs`: the runs that are kept, to pick two that are compared."""

from __future__ import annotations

import time
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from minitrace import present
from minitrace.store.runs import Run, RunKind
from minitrace.web.forms import SearchForm, read_form
from minitrace.web.named import store_of
from minitrace.web.render import render
from minitrace.web.wanted import while_wanted

MOST_RUNS = 200  # on the page


@while_wanted
async def runs_page(request: Request) -> Response:
    """The newest runs, two of which are picked already."""
    runs = await store_of(request).runs(MOST_RUNS)
    now_ns = time.time_ns()
    return await render(
        request,
        "runs.html",
        runs=[(run, traces_url(run, now_ns)) for run in runs],
        picked=picked(runs),
        most=MOST_RUNS,
        now_ns=now_ns,
    )


def picked(runs: Sequence[Run]) -> tuple[str, str]:
    """The ids of the newest run that has an earlier one of the same command, that one first; else of the newest two."""
    for place, later in enumerate(runs):
        if earlier := next((run for run in runs[place + 1 :] if _command(run) == _command(later)), None):
            return earlier.id, later.id
    return (runs[1].id, runs[0].id) if len(runs) > 1 else ("", "")


def _command(run: Run) -> tuple[str, str, str]:
    return run.kind, run.label, run.directory


def traces_url(run: Run, now_ns: int) -> str:
    """The search for a run's traces: those that name it, or that happened while a server ran."""
    if run.kind != RunKind.SERVER:
        return read_form({}, now_ns).query_url(str(run.search().pipeline))
    values = {"from": present.iso(run.started_ns)} | ({"to": present.iso(run.ended_ns)} if run.ended_ns else {})
    form: SearchForm = read_form(values, now_ns)
    return form.url()


routes = [Route("/runs", runs_page)]
