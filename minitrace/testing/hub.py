"""One span processor on every SDK provider, for good: it asks at each start whose span this is.

A processor cannot be taken off a provider again, so a new one for each test would pile up. The hub stays and routes;
while nothing is captured it does nothing. The SDK calls it within the program's own calls, so nothing is raised here.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from minitrace.testing import capturing
from minitrace.testing.capturing import Capture, Key
from minitrace.testing.readable import Reader

SAMPLED = 1  # of a span context's trace_flags
MOST_OPEN = 10_000  # spans, before those are forgotten whose capture is
_NOBODYS: tuple[Any, Key, str] = (None, (b"", b""), "")
_log = logging.getLogger(__name__)


class Hub:
    """A SpanProcessor of the SDK in all but name: its base class is not ours to import."""

    def __init__(self) -> None:
        # By the identity of its context, which the SDK hands to the end of a span, too: ids come twice where tests
        # seed `random`. The context is kept, or its identity would be another's some day; the capture is not.
        self._owners: dict[int, tuple[Any, Key, str]] = {}
        self._most = MOST_OPEN

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """A span belongs to the capture that is innermost now."""
        try:
            if capture := capturing.active():
                self._start(span, capture)
        except Exception:
            _log.exception("a span is not captured")

    def _start(self, span: Any, capture: Capture) -> None:
        context = span.context
        if not context.trace_flags & SAMPLED:  # recorded, and never exported
            capture.unsampled()
            return
        key = context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big")
        self._owners[id(context)] = context, key, capture.token
        if len(self._owners) > self._most:
            self._forget()
        if capture.pid == os.getpid():
            scope, parent = span.instrumentation_scope, span.parent
            parent_id = parent.span_id.to_bytes(8, "big") if parent else b""
            capture.started(key, span.name, scope.name if scope else "", parent_id)

    def _on_ending(self, span: Any) -> None:
        """Newer SDKs tell their processors, too."""

    def on_end(self, span: Any) -> None:
        """Hand a span to its owner, whichever capture is innermost by now."""
        try:
            self._end(span)
        except Exception:
            _log.exception("a span is not captured")

    def _end(self, span: Any) -> None:
        _, key, token = self._owners.pop(id(span.context), _NOBODYS)
        owner = capturing.by_token(token)
        if owner is None:
            return
        if owner.pid == os.getpid():
            owner.ended_unread(key, span)
        else:
            # this is a forked child: what it captures, its parent cannot see
            from minitrace.testing.processes import forks

            forks.export(Reader().span(span), token)

    def _forget(self) -> None:
        """Let go of spans that never ended, of tests long over."""
        for identity, (_, _, token) in list(self._owners.items()):
            if capturing.by_token(token) is None:
                self._owners.pop(identity, None)
        self._most = max(MOST_OPEN, 2 * len(self._owners))

    def shutdown(self) -> None:
        """Nothing: a provider that is shut down still makes spans."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held back."""
        return True

    @staticmethod
    def unsampled() -> None:
        """A sampler dropped a span before it was one."""
        if capture := capturing.active():
            capture.unsampled()


HUB = Hub()
