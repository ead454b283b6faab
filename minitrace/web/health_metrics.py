"""How minitrace itself is, as metrics: what the receiver took and refused, the file, and questions to it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

import minitrace
from minitrace.live import Live, Totals
from minitrace.store.questions import Stats
from minitrace.store.store import Store
from minitrace.store.tally import Tally
from minitrace.store.timings import NS
from minitrace.web.series_text import bound_names

REASONS = ("ids", "undecodable")


class HealthCollector(Collector):
    """The metrics of a moment."""

    def __init__(self, tally: Tally, store: Store, stats: Stats, live: Live) -> None:
        self._tally = tally
        self._store = store
        self._stats = stats
        self._live = live

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        build = {"version": minitrace.__version__}
        yield InfoMetricFamily("minitrace_build", "Which minitrace this is.", value=build)
        yield from _received(self._live.requests.totals)
        yield from _stored(self._store, self._stats)
        yield _gauge("minitrace_streams_open", "Pages and commands that watch.", self._live.stream_count)
        yield from _counted(self._tally)


def _received(totals: Totals) -> Iterator[Metric]:
    yield _counter("minitrace_spans_accepted", "Spans of clients that were stored.", totals.spans)
    yield _counter("minitrace_log_records_accepted", "Log records of clients that were stored.", totals.records)
    yield _counter("minitrace_data_points_accepted", "Data points of clients: counted, not stored.", totals.points)
    yield _counter("minitrace_duplicates", "Spans and log records that had been stored before.", totals.duplicates)
    by_reason = {reason: totals.rejected[reason] for reason in REASONS}
    yield _counters("minitrace_spans_rejected", "Spans that cannot be stored.", "reason", by_reason)
    help_ = "Log records that cannot be stored."
    yield _counter("minitrace_log_records_rejected", help_, totals.rejected_records)
    by_status = {str(status): count for status, count in totals.refused.items()}
    yield _counters("minitrace_requests_refused", "Requests of clients that failed.", "status", by_status)


def _stored(store: Store, stats: Stats) -> Iterator[Metric]:
    yield _gauge("minitrace_spans_stored", "Spans in the file.", stats.span_count)
    yield _gauge("minitrace_traces_stored", "Traces in the file.", stats.trace_count)
    yield _gauge("minitrace_log_records_stored", "Log records in the file.", stats.log_count)
    yield _counter(
        "minitrace_spans_removed", "Spans that left, by limits or because somebody said so.", store.removed_count
    )
    age_s = time.time() - stats.oldest_ns / NS if stats.oldest_ns else 0.0
    yield _gauge("minitrace_oldest_span_age_seconds", "How long ago the oldest segment of the file began.", age_s)
    yield _gauge("minitrace_database_bytes", "Size of the file.", stats.size_bytes - stats.wal_bytes)
    yield _gauge("minitrace_wal_bytes", "Size of its write-ahead log.", stats.wal_bytes)
    yield _gauge("minitrace_queue_bytes", "Requests that wait to be written.", store.waiting_bytes)
    timings = store.query_timings
    queries = HistogramMetricFamily("minitrace_query_seconds", "How long questions to the file took.", labels=[])
    queries.add_metric([], list(zip(bound_names(timings.bounds), timings.cumulated, strict=True)), timings.total_s)
    yield queries


def _counted(tally: Tally) -> Iterator[Metric]:
    help_ = "Rows of spans that the counters above do not have yet."
    yield _gauge("minitrace_metrics_waiting_rows", help_, max(0, tally.newest - tally.place))
    yield _gauge("minitrace_metrics_series", "Series of traces_spanmetrics_calls_total.", len(tally.spans.series))
    help_ = "Spans and calls in series for others, as there are too many to be told apart."
    others = {"spans": tally.spans.others, "calls": tally.edges.others}
    yield _counters("minitrace_metrics_overflow", help_, "what", others)


def _gauge(name: str, help_: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help_, value=value)


def _counter(name: str, help_: str, value: int) -> Metric:
    return CounterMetricFamily(name, help_, value=value)


def _counters(name: str, help_: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, help_, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
