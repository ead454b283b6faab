"""How Jaeger's query API answers: everything in one envelope, errors too; and what its requests have in common."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from minitrace.errors import DecodeError, MinitraceError
from minitrace.web import pieces
from minitrace.web.answers import retry_headers, status_of
from minitrace.web.wanted import Handler, while_wanted

MS_NS = 1_000_000

Problem = Callable[[int, str], dict[str, Any]]  # an HTTP status and what is wrong, as a document


def answering(problem: Problem) -> Callable[[Handler], Handler]:
    """What makes a handler of GET requests tell its errors as `problem` says them."""

    def decorate(handler: Handler) -> Handler:
        wanted = while_wanted(handler)

        @wraps(handler)
        async def answered(request: Request) -> Response:
            try:
                return await wanted(request)
            except MinitraceError as error:
                status = status_of(error)
                return JSONResponse(problem(status, str(error)), status, headers=retry_headers(status))

        return answered

    return decorate


def envelope(data: Any, total: int = 0, errors: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """What Jaeger puts its data in."""
    return {"data": data, "total": total, "limit": 0, "offset": 0, "errors": errors}


def after_data(errors: list[dict[str, Any]] | None = None) -> str:
    """The text of an envelope behind its data, where that is written piece by piece."""
    rest = {key: value for key, value in envelope(None, errors=errors).items() if key != "data"}
    return "," + pieces.dump(rest)[1:]


def problem(status: int, text: str) -> dict[str, Any]:
    """An error in Jaeger's envelope."""
    return envelope(None, errors=[{"code": status, "msg": text}])


def answer(request: Request, document: dict[str, Any]) -> Response:
    """A document as JSON; ``prettyPrint=true`` indents it."""
    indent = 4 if is_pretty(request) else None
    return Response(json.dumps(document, ensure_ascii=False, indent=indent), media_type="application/json")


def streamed(request: Request, texts: Iterator[str]) -> Response:
    """The text of a document that comes in pieces, each of them made in a thread; indented if that is asked for."""
    return pieces.answer(_indented(texts) if is_pretty(request) else texts)


def _indented(texts: Iterator[str]) -> Iterator[str]:
    yield json.dumps(json.loads("".join(texts)), ensure_ascii=False, indent=4)


def is_pretty(request: Request) -> bool:
    """Whether the answer is for people to read."""
    return read_flag(request.query_params, "prettyPrint")


def read_flag(parameters: Mapping[str, str], name: str) -> bool:
    """Whether something is asked for, as Go's programs read it; any other text is no."""
    return parameters.get(name, "").lower() in ("true", "1", "t")


def read_ms(parameters: Mapping[str, str], name: str, default_ns: int) -> int:
    """A time, or how long, in milliseconds; in nanoseconds. Raises DecodeError."""
    return read_whole(parameters, name, default_ns, MS_NS, "milliseconds")


def read_whole(parameters: Mapping[str, str], name: str, default_ns: int, unit_ns: int, unit: str) -> int:
    """A whole number of a unit, in nanoseconds. Raises DecodeError."""
    text = parameters.get(name)
    if not text:
        return default_ns
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) * unit_ns < 2**63):
        raise DecodeError(f"{name}={text[:40]!r} is not a whole number of {unit}")
    return int(text) * unit_ns
