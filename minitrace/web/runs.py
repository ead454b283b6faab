"""Runs, for the commands that make them; people see them on their page.

| address                  | takes or answers                                                                     |
|--------------------------|--------------------------------------------------------------------------------------|
| `POST /_/runs`           | a run that begins: kind, label, directory, and what `Run` has besides; answers its id |
| `POST /_/runs/{id}/end`  | `{"exit_code": 0}`; 404 where no such run began                                      |
| `GET /_/runs.json`       | the newest runs, newest first; `?limit=`                                             |
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from minitrace.errors import DecodeError
from minitrace.model import MAX_TIME_NS
from minitrace.store.runs import MOST_RUNS, Run, RunKind
from minitrace.web import body
from minitrace.web.named import store_of
from minitrace.web.parameters import read_number

MAX_BYTES = 64 << 10
LONGEST_TEXT = 4_000
SHOWN = 100  # where no limit is given
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


async def begin(request: Request) -> Response:
    """A run begins."""
    run = read_run(await _document(request), time.time_ns())
    await store_of(request).begin_run(run)
    return JSONResponse({"id": run.id}, 201)


async def end(request: Request) -> Response:
    """A run has ended."""
    document = await _document(request)
    exit_code, run_id = document.get("exit_code"), request.path_params["id"]
    if not (exit_code is None or (_is_whole(exit_code) and abs(exit_code) < 2**31)):
        raise DecodeError("exit_code is not a whole number")
    if not await store_of(request).end_run(run_id, exit_code, time.time_ns()):
        raise HTTPException(404, "No run with this id has begun.")
    return JSONResponse({"id": run_id})


async def listed(request: Request) -> Response:
    """The newest runs."""
    limit = read_number(request.query_params, "limit", SHOWN, low=1, high=MOST_RUNS)
    return JSONResponse({"runs": [asdict(run) for run in await store_of(request).runs(limit)]})


def read_run(document: Mapping[str, Any], now_ns: int) -> Run:
    """The run that somebody tells of; an id and a start are made up where none is given.

    Raises:
        DecodeError: something in it is not what it should be.
    """
    run = Run(
        id=_text(document, "id") or secrets.token_hex(8),
        kind=_text(document, "kind"),
        label=_text(document, "label"),
        directory=_text(document, "directory"),
        started_ns=document.get("started_ns", now_ns),
        git_commit=_text(document, "git_commit") or None,
        git_branch=_text(document, "git_branch") or None,
        is_dirty=document.get("is_dirty") is True,
    )
    wrong = {
        "id": not _ID.fullmatch(run.id),
        "kind": run.kind not in (RunKind.COMMAND, RunKind.PYTEST),  # a server tells of itself
        "label": not run.label,
        "started_ns": not (_is_whole(run.started_ns) and 0 < run.started_ns < MAX_TIME_NS),
        "git_commit": run.git_commit is not None and not _COMMIT.fullmatch(run.git_commit),
    }
    if name := next((name for name, is_wrong in wrong.items() if is_wrong), ""):
        raise DecodeError(f"{name} {str(document.get(name))[:80]!r} of the run makes no sense")
    return run


async def _document(request: Request) -> Mapping[str, Any]:
    """The JSON object in the body. Raises DecodeError, TooLarge."""
    try:
        document = json.loads(await body.read(request, MAX_BYTES) or b"{}")
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise DecodeError("the body is not a JSON object")
    return document


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name) or ""
    if not isinstance(value, str):
        raise DecodeError(f"{name} of the run is not a text")
    return value.encode(errors="replace").decode()[:LONGEST_TEXT]  # JSON can have halves of characters


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


routes = [
    Route("/_/runs", begin, methods=["POST"]),
    Route("/_/runs/{id}/end", end, methods=["POST"]),
    Route("/_/runs.json", listed),
]
