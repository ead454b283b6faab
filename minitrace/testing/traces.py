"""`Traces`: all a test asks of what it captured. Each method is a call into the module that does it.

Those modules are imported when first needed: most tests need one of them, and the first test should not wait for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from minitrace import durations, model, present
from minitrace.testing.capturing import Capture, Snapshot
from minitrace.testing.failures import Inconclusive, TracesTimeout
from minitrace.testing.spans import Among, Span, SpanList

if TYPE_CHECKING:
    from minitrace.testing.shapes.shape import SpanShape

NS_PER_US = 1_000


class Traces:
    """The spans that one test captured.

    Queries are TraceQL; a bad one raises TraceQLError, which says where. Timeouts are in seconds; None stands for
    the capture's own. `capture` is internal.
    """

    def __init__(self, capture: Capture, *, timeout_s: float = 5.0, budget_scale: float = 1.0) -> None:
        self.capture = capture
        self._timeout_s = timeout_s
        self._budget_scale = budget_scale

    def __repr__(self) -> str:
        snapshot = self.capture.snapshot()
        spans = present.count(len(snapshot.seen), "span")
        return f"<Traces of {self.capture.name or 'a capture'}: {spans}>"

    # Read: what is here now

    def find(self, query: str = "{}") -> SpanList:
        """The spans that a query finds, each once, in order of start."""
        return self._among().find(query)

    def one(self, query: str = "{}") -> Span:
        """The only span that a query finds.

        Raises:
            TracesFailure: there is none, or more than one.
        """
        from minitrace.testing import claims

        among = self._among()
        return among.view(claims.one(among.snapshot, query, self.capture.circumstances()))

    def count(self, query: str = "{}") -> int:
        """How many spans a query finds."""
        return len(_find(self.capture.snapshot(), query))

    def roots(self) -> SpanList:
        """The spans without a parent, in order of start; one that continues `headers` has none."""
        among = self._among()
        return among.listed(span for span in among.snapshot.spans if not span.parent_id)

    def tree(
        self,
        query: str | None = None,
        *,
        attrs: Sequence[str] = (),
        status: bool = True,
        collapse: bool = True,
        services: bool = False,
    ) -> str:
        """The traces as indented names, the same text in each run, for a snapshot to be compared with.

        With a query: what it finds, and below it all that belongs to it. `attrs` are the attributes to show.
        """
        from minitrace.testing.shapes import outline

        traces = self.capture.snapshot().traces()
        return outline.outline(traces, query, attrs=attrs, status=status, collapse=collapse, services=services)

    def render(self, width: int = 100) -> str:
        """The traces drawn as waterfalls, for people."""
        from minitrace.testing.reasons import picture

        snapshot = self.capture.snapshot()
        return picture.picture(snapshot.traces(), width=width, origins=picture.origins(snapshot))

    # Wait: for spans of other processes and threads

    def wait_for(self, query: str, count: int = 1, timeout: float | None = None) -> SpanList:
        """What a query finds, as soon as that is `count` spans at least; those that are here already count.

        Raises:
            TracesTimeout: they did not come in time.
        """
        from minitrace.testing import waiting

        timeout_s = self._timeout(timeout)
        found = waiting.wait_for(self.capture, lambda snapshot: _find(snapshot, query), count, timeout_s)
        return self._waited(found, query, count, timeout_s)

    async def wait_for_async(self, query: str, count: int = 1, timeout: float | None = None) -> SpanList:  # noqa: ASYNC109
        """`wait_for`, while the event loop goes on."""
        from minitrace.testing import waiting

        timeout_s = self._timeout(timeout)
        found = await waiting.wait_for_async(self.capture, lambda snapshot: _find(snapshot, query), count, timeout_s)
        return self._waited(found, query, count, timeout_s)

    def wait_complete(self, timeout: float | None = None) -> SpanList:
        """All spans, as soon as none is missing: all have ended, all parents are here, no more are on their way.

        Raises:
            TracesTimeout: something was still missing; the message says what.
        """
        from minitrace.testing import waiting

        timeout_s = self._timeout(timeout)
        return self._completed(waiting.wait_complete(self.capture, timeout_s), timeout_s)

    async def wait_complete_async(self, timeout: float | None = None) -> SpanList:  # noqa: ASYNC109
        """`wait_complete`, while the event loop goes on."""
        from minitrace.testing import waiting

        timeout_s = self._timeout(timeout)
        return self._completed(await waiting.wait_complete_async(self.capture, timeout_s), timeout_s)

    # Assert

    def assert_no_errors(self, *, ignore: str | None = None) -> None:
        """No span has status error, but for those that the query `ignore` finds."""
        from minitrace.testing import claims

        claims.no_errors(self._settled(), ignore=ignore)

    def assert_none(self, query: str) -> None:
        """A query finds nothing, and all spans are known.

        Raises:
            TracesFailure: it finds spans.
            Inconclusive: spans were dropped, or have not ended.
        """
        from minitrace.testing import claims

        claims.none(self._settled(), query)

    def assert_no_n_plus_one(self, *, threshold: int = 3, query: str | None = None) -> None:
        """No span has `threshold` or more children that do the same: statements alike but for their values, or calls.

        With a query only the spans that it finds are looked at, otherwise those of databases and HTTP clients.
        """
        from minitrace.testing import claims

        claims.no_n_plus_one(self._settled(), threshold=threshold, query=query or claims.DATABASE_OR_HTTP)

    def assert_budget(
        self, query: str, *, max: str | timedelta | None = None, count: int | None = None, self_time: bool = False
    ) -> None:
        """What a query finds took no longer than `max` (such as "200ms"), and is no more than `count` spans.

        `self_time` leaves out the time of spans below. The option minitrace_budget_scale makes `max` longer on a slow
        machine.
        """
        from minitrace.testing import claims

        max_ns = None if max is None else round(nanoseconds(max) * self._budget_scale)
        claims.budget(self._settled(), query, max_ns=max_ns, count=count, self_time=self_time)

    def assert_tree(self, shape: str | SpanShape, *, root: str | None = None, strict: bool = False) -> None:
        """The traces have a shape: indented text, or what `span()` gives. `strict` allows no other spans."""
        from minitrace.testing.shapes import matching

        matching.assert_shape(self._settled(is_proof=strict).traces(), shape, root=root, strict=strict)

    # Reach other processes

    @property
    def endpoint(self) -> str:
        """Where other processes send spans of this test by OTLP/HTTP: ``http://127.0.0.1:PORT/t/<token>``."""
        from minitrace.testing.processes import receiver

        return f"{receiver.endpoint()}/t/{self.capture.token}"

    @property
    def env(self) -> dict[str, str]:
        """The environment for a child process, with what makes it send spans here; for ``subprocess.run(env=…)``."""
        from minitrace.testing import surroundings

        return surroundings.child_environment(self.capture)

    @property
    def headers(self) -> dict[str, str]:
        """Headers for a request to a server that runs longer than this test: its spans come here.

        ``traceparent``, the same one each time, and ``baggage`` with this test's token.
        """
        trace_id, span_id = self.capture.remote_parent()
        return {
            "traceparent": f"00-{trace_id.hex()}-{span_id.hex()}-01",
            "baggage": f"minitrace.test={self.capture.token}",
        }

    # Keep

    def save(self, path: str | Path) -> Path:
        """Write the traces to a file that `minitrace open` shows."""
        from minitrace.testing import keeping

        return keeping.save(self.capture.snapshot().traces(), Path(path))

    def clear(self) -> None:
        """Forget the spans so far: what a test's preparation did is not what it looks at."""
        self.capture.clear()

    def _among(self) -> Among:
        return Among(self.capture.snapshot(), _find)

    def _timeout(self, timeout: float | None) -> float:
        return self._timeout_s if timeout is None else timeout

    def _waited(self, found: list[model.Span] | None, query: str, count: int, waited_s: float) -> SpanList:
        if found is None:
            from minitrace.testing import claims

            snapshot, circumstances = self.capture.snapshot(), self.capture.circumstances()
            raise TracesTimeout(claims.timed_out(snapshot, query, count, waited_s, circumstances))
        return self.find(query)

    def _completed(self, missing: list[str], waited_s: float) -> SpanList:
        if missing:
            raise TracesTimeout(self._incomplete("the traces were not complete", missing, waited_s))
        return self.find()

    def _settled(self, *, is_proof: bool = True) -> Snapshot:
        """All spans, for a claim that is also about those that are not there.

        Spans of this process are here when they end; those of others may be on their way.

        Raises:
            Inconclusive: they did not all come, and it is to be a proof.
        """
        from minitrace.testing import waiting

        snapshot = self.capture.snapshot()
        if all(one.origin == "in-process" for one in snapshot.seen):
            return snapshot
        missing = waiting.wait_complete(self.capture, self._timeout_s)
        if missing and is_proof:
            head = "INCONCLUSIVE: what is not there may still come: the traces were not complete"
            raise Inconclusive(self._incomplete(head, missing, self._timeout_s))
        return self.capture.snapshot()

    def _incomplete(self, head: str, missing: Sequence[str], waited_s: float) -> str:
        from minitrace.testing.reasons.messages import message

        return message(f"{head} within {waited_s:.3g} s", [f"  {line}" for line in missing], self.capture.snapshot())


def nanoseconds(duration: str | timedelta) -> int:
    """A duration such as "200ms", in nanoseconds. Raises DecodeError: the text is none."""
    if isinstance(duration, timedelta):
        return duration // timedelta(microseconds=1) * NS_PER_US
    return durations.parse_duration(duration)


def _find(snapshot: Snapshot, query: str) -> list[model.Span]:
    from minitrace.testing import claims

    return claims.find(snapshot, query)
