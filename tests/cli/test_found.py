"""Traces that were found, as lines for people."""

from __future__ import annotations

from minitrace.asking.source import Found
from minitrace.cli import found

ONE = Found({"traceID": "4bf92f3577b34da6a3ce929d0e0e4736", "rootServiceName": "shop", "rootTraceName": "GET /",
             "startTimeUnixNano": "1", "durationMs": 5, "spanCount": 1})  # fmt: skip


def test_a_line_that_goes_into_a_pipe_is_aligned_with_its_head() -> None:
    head, line = found.line(None, 0), found.line(ONE, 0)
    assert line[head.index("ROOT") :] == "shop: GET /"
