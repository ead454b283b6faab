"""What a test finds around it while it is captured, and what is put back after it: context and environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from minitrace.testing.capturing import Capture
from minitrace.testing.processes.environment import LISTS, complete, variables


@contextmanager
def clean_context() -> Iterator[None]:
    """No span is current, and there is no baggage, whatever somebody left behind.

    The context from before is attached again, not the new one detached: after an asynchronous fixture that would be
    another thread of control, and the SDK would log an error.
    """
    context = sys.modules.get("opentelemetry.context")  # where nobody imported it there is none to clean
    before = context.get_current() if context else None
    if context:
        context.attach(context.Context())
    try:
        yield
    finally:
        if context:
            context.attach(before)


@contextmanager
def environment(capture: Capture, mode: Literal["set", "keep", "off"]) -> Iterator[None]:
    """os.environ as child processes inherit it, and exactly as it was afterwards; forked ones find home without."""
    from minitrace.testing.processes import (
        children,  # which captures can do without
        receiver,  # which captures can do without
    )

    children.include()
    added: dict[str, str] = {}
    removed: set[str] = set()
    if mode != "off" and not receiver.is_forbidden():
        added, removed = variables(receiver.endpoint(), capture.token, os.environ, bsp_delay_ms=capture.bsp_delay_ms)
    if mode == "keep":
        added, removed = {name: added[name] for name in added if name in LISTS or name not in os.environ}, set()
    before = {name: os.environ.get(name) for name in (*added, *removed)}
    try:
        _set({**added, **dict.fromkeys(removed)})
        yield
    finally:
        _set(before)


def child_environment(capture: Capture) -> dict[str, str]:
    """The whole environment for a child process that sends its spans to a capture."""
    from minitrace.testing.processes import receiver

    return complete(receiver.endpoint(), capture.token, os.environ, bsp_delay_ms=capture.bsp_delay_ms)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
