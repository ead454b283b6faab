"""Errors to answers: the one place where a `MinitraceError` becomes an HTTP status."""

from __future__ import annotations

from starlette.responses import PlainTextResponse, Response

from minitrace import errors

HTTP_STATUS: dict[type[errors.MinitraceError], int] = {
    errors.DecodeError: 400,
    errors.TraceQLError: 400,
    errors.TraceNotFound: 404,
    errors.TooLarge: 413,
    errors.QueryTimeout: 503,
    errors.StoreBusy: 503,
}
RETRY_AFTER_S = 1  # SDKs give up after ten seconds, and at once if told to wait longer than that


def status_of(error: errors.MinitraceError) -> int:
    """The HTTP status of an error; 500 for one that has no business in a request."""
    return HTTP_STATUS.get(type(error), 500)


def retry_headers(status: int) -> dict[str, str]:
    """What an answer with this status adds to its headers."""
    return {"Retry-After": str(RETRY_AFTER_S)} if status in (429, 503) else {}


def plain(error: errors.MinitraceError) -> Response:
    """An error as a line of text."""
    status = status_of(error)
    return PlainTextResponse(f"{error}\n", status, headers=retry_headers(status))
