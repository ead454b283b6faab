"""From an export to rows, in memory: what is done for the writer beforehand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from google.protobuf.message import DecodeError as ProtobufError

from minitrace.model import MAX_TIME_NS
from minitrace.otlp import messages
from minitrace.otlp.decode import MAX_ATTRIBUTES, Export, RawSpans, read_links, read_parent
from minitrace.store.segment import MAX_VALUES, Segment

_LAID_OUT = (None, 0)


@dataclass(slots=True)
class Part:
    """Spans for one segment: the rows of `spans`, with a trace's id where its row will stand, and a 0 for their own.

    `sums` is what they add to their traces' summaries, by trace id and service: how many spans, how many of
    them errors, and the earliest start and latest end of those with a usable time (0 if there is none).
    The writer gives the spans ids from `first_span` on.
    """

    segment: Segment
    rows: list[list[Any]] = field(default_factory=list)
    sums: dict[tuple[bytes, int], list[int]] = field(default_factory=dict)
    first_span: int = 0
    span_count: int = 0

    @property
    def spans(self) -> range:
        """The ids of its spans; known to the writer."""
        return range(self.first_span, self.first_span + self.span_count)

    def let_go(self) -> None:
        """Forget the rows, a part at a time, so that other threads need not wait until all are freed."""
        while self.rows:
            del self.rows[-1000:]


@dataclass(slots=True)
class Batch:
    """What one request brought, ready to be written.

    `replaces` are the ids of rows of `spans` that these spans take the place of. `added` spans were new, which
    the writer knows.
    """

    parts: list[Part] = field(default_factory=list)
    rejected: int = 0
    reason: str = ""
    without_ids: int = 0  # of those that were rejected
    replaces: list[int] = field(default_factory=list)
    added: int = 0

    @property
    def span_count(self) -> int:
        """How many spans there are to write."""
        return sum(part.span_count for part in self.parts)

    @property
    def rows(self) -> list[range]:
        """Where they are once written: of these rows those exist that were new, and no other span gets one of them."""
        return [part.spans for part in self.parts if part.span_count]

    @property
    def row_count(self) -> int:
        """The same, as of a `LogBatch`."""
        return self.span_count

    @property
    def trace_ids(self) -> list[bytes]:
        """The traces they belong to, each once, in the order of their first spans."""
        return list(dict.fromkeys(trace_id for part in self.parts for trace_id, _ in part.sums))


def lay_out(export: Export, segment: Segment, next_segment: Callable[[], Segment]) -> Batch:
    """The rows of an export's spans; `next_segment` is asked for another segment when one is crowded.

    Spans that turn out to be broken are rejected in the batch, beside those that were in the export, which is used up.
    """
    batch = Batch([Part(segment)])
    for group in export.groups:
        spans = group.spans
        while spans:
            try:
                done = _lay_out_group(group, spans, batch.parts[-1], export)
            except ProtobufError as error:
                export.reject(f"resource or scope: {error}", len(spans))
                break
            spans = spans[done:]
            if spans:
                batch.parts.append(Part(next_segment()))
    batch.rejected, batch.reason, batch.without_ids = export.rejected, export.reason, export.without_ids
    return batch


def _lay_out_group(group: RawSpans, spans: list[tuple[Any, int]], part: Part, export: Export) -> int:
    """Lay out spans of one resource and scope until the segment is crowded; returns how many were done."""
    segment = part.segment
    resource, service = segment.resource(group.resource, group.resource_schema_url)
    scope = segment.scope(group.scope, group.scope_schema_url)
    names, statuses, token_of = segment.names, segment.statuses, segment.span_values.__getitem__
    operations, add_operation = segment.operations(service), segment.pending.operations.append
    add_row, sums = part.rows.append, part.sums
    done = 0
    for message, checksum in spans:
        if segment.value_count >= MAX_VALUES and done:
            break
        spans[done] = _LAID_OUT  # to let go of 140 000 messages one by one: at once it takes 0.1 s
        done += 1
        try:
            raw_attributes = message.attributes
            if len(raw_attributes) > MAX_ATTRIBUTES:
                dropped = message.dropped_attributes_count + len(raw_attributes) - MAX_ATTRIBUTES
                message.dropped_attributes_count = min(dropped, 2**32 - 1)
                raw_attributes = raw_attributes[:MAX_ATTRIBUTES]
            attributes = " ".join(map(token_of, raw_attributes))
            name, raw_status = message.name, message.status
            number = names.get(name) or segment.name(name)
            status, status_token = statuses.get(raw_status) or _status(segment, raw_status)
            events, links = message.events, message.links
            more = _more(segment, message, status_token) if status_token or events or links else None
        except ProtobufError as error:
            export.reject_broken(message.name, error)
            continue
        trace_id, start_ns, end_ns = message.trace_id, message.start_time_unix_nano, message.end_time_unix_nano
        duration_ns = end_ns - start_ns if 0 < start_ns < end_ns < MAX_TIME_NS else 0
        has_odd_times = start_ns + duration_ns != end_ns or start_ns > MAX_TIME_NS
        details = None
        if (
            raw_status or events or links or has_odd_times or message.trace_state or message.dropped_attributes_count
            or message.dropped_events_count or message.dropped_links_count
        ):  # fmt: skip
            details = _details(message, has_odd_times)
        add_row([
            0, trace_id, message.span_id, checksum, read_parent(message), resource, scope, service, number,
            message.kind, status, min(start_ns, MAX_TIME_NS), duration_ns, message.flags, attributes, more, details,
        ])  # fmt: skip
        _add_up(sums, (trace_id, service), start_ns, duration_ns, status == 2)
        if number not in operations:
            operations.add(number)
            add_operation((service, name, segment.number))
    segment.row_count += done
    part.span_count = len(part.rows)
    return done


def _add_up(
    sums: dict[tuple[bytes, int], list[int]], key: tuple[bytes, int], start_ns: int, duration_ns: int, is_error: bool
) -> None:
    """Count a span in the sums of its trace and service."""
    known = sums.get(key)
    is_usable = 0 < start_ns < MAX_TIME_NS
    if known is None:
        sums[key] = [1, is_error, start_ns, start_ns + duration_ns] if is_usable else [1, is_error, 0, 0]
        return
    known[0] += 1
    known[1] += is_error
    if is_usable:
        if start_ns < known[2] or not known[2]:
            known[2] = start_ns
        if start_ns + duration_ns > known[3]:
            known[3] = start_ns + duration_ns


def _status(segment: Segment, raw: bytes) -> tuple[int, str]:
    message = messages.SpanStatus.FromString(raw)
    status = segment.statuses[raw] = segment.status(message.code, message.message)
    return status


def _more(segment: Segment, message: Any, status_token: str) -> str:
    """The tokens of what few spans have: status message, events, links; of at most `MAX_ATTRIBUTES` attributes."""
    found = [status_token] if status_token else []
    room = MAX_ATTRIBUTES
    for raw in message.events:
        event = messages.RawEvent.FromString(raw)
        found.append(segment.event_names[event.name])
        found += map(segment.event_values.__getitem__, islice(event.attributes, max(0, room)))
        room -= len(event.attributes)
    for link in read_links(message):
        found.append(segment.link_traces[link.trace_id.hex()])
        found += map(segment.link_values.__getitem__, islice(link.attributes, max(0, room)))
        room -= len(link.attributes)
    return " ".join(dict.fromkeys(found))


def _details(message: Any, has_odd_times: bool) -> bytes:
    """What has no column of its own, as a Span without the rest."""
    kept = messages.RawSpan(
        status=message.status,
        events=message.events,
        links=message.links,
        trace_state=message.trace_state,
        dropped_attributes_count=message.dropped_attributes_count,
        dropped_events_count=message.dropped_events_count,
        dropped_links_count=message.dropped_links_count,
    )
    if has_odd_times:
        kept.start_time_unix_nano, kept.end_time_unix_nano = message.start_time_unix_nano, message.end_time_unix_nano
    content: bytes = kept.SerializeToString()
    return content
