"""What minitrace counts, as text for Prometheus: OpenMetrics, with exemplars, or the older format.

Imported by the first scrape: `prometheus_client` takes a tenth of a second, and most servers are never scraped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client import exposition as text
from prometheus_client.openmetrics import exposition as openmetrics

from minitrace.config import metrics_label
from minitrace.live import Live
from minitrace.store.edge_counters import EDGE_NS, MOST_EDGES, OTHERS, EdgeCounters
from minitrace.store.questions import Stats
from minitrace.store.span_counters import LATENCY_NS, MOST_SERIES, OTHER_OPERATIONS, Labels, SpanCounters
from minitrace.store.store import Store
from minitrace.store.tally import Tally
from minitrace.web import series_text
from minitrace.web.health_metrics import HealthCollector

OPENMETRICS = "application/openmetrics-text"
SPAN_LABELS = ("service", "span_name", "span_kind", "status_code")
EDGE_LABELS = ("client", "server", "connection_type")


@dataclass(frozen=True, slots=True)
class Format:
    """How metrics are written."""

    content_type: str
    write: Callable[[CollectorRegistry], bytes]
    is_open: bool

    def render(self, tally: Tally, store: Store, stats: Stats, live: Live) -> bytes:
        """All metrics. The many series of spans are written by ourselves: the library takes 20 µs a line."""
        registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=registry)
        registry.register(HealthCollector(tally, store, stats, live))
        own = "".join((*_spans(tally.spans, is_open=self.is_open), *_edges(tally.edges, is_open=self.is_open)))
        return own.encode() + self.write(registry)


_TEXT = Format(text.CONTENT_TYPE_PLAIN_0_0_4, text.generate_latest, is_open=False)
_OPENMETRICS = Format(openmetrics.CONTENT_TYPE_LATEST, openmetrics.generate_latest, is_open=True)


def wanted(accept: str) -> Format:
    """The format that an Accept header likes best: OpenMetrics where it is named and the other is liked no better."""
    liked = dict(map(_liked, accept.split(",")))
    return _OPENMETRICS if liked.get(OPENMETRICS, 0) and liked[OPENMETRICS] >= liked.get("text/plain", 0) else _TEXT


def _liked(part: str) -> tuple[str, float]:
    name, *parameters = (one.strip().lower() for one in part.split(";"))
    quality = next((one[2:] for one in parameters if one.startswith("q=")), "1")
    try:
        return name, float(quality)
    except ValueError:
        return name, 0.0


def _spans(spans: SpanCounters, *, is_open: bool) -> Iterator[str]:
    names = [*SPAN_LABELS, *map(metrics_label, spans.dimensions)]
    series = [(series_text.label_text(names, _values(labels)), one) for labels, one in spans.series.items()]
    calls = [(labels, timings.count, timings.latest) for labels, timings in series]
    help_ = f"Spans that were stored; beyond {MOST_SERIES} series as {OTHER_OPERATIONS}."
    yield from series_text.counters("traces_spanmetrics_calls", help_, calls, is_open=is_open)
    help_ = "How long these spans took, in seconds."
    yield from series_text.histograms("traces_spanmetrics_latency", help_, series, LATENCY_NS, is_open=is_open)


def _edges(edges: EdgeCounters, *, is_open: bool) -> Iterator[str]:
    series = [(series_text.label_text(EDGE_LABELS, edge), one) for edge, one in edges.edges.items()]
    name = "traces_service_graph_request"
    help_ = f"Calls between services, and of what sends no spans; beyond {MOST_EDGES} series as {OTHERS}."
    calls = [(labels, one.server.count, None) for labels, one in series]
    yield from series_text.counters(name, help_, calls, is_open=is_open)
    failed = [(labels, one.failed, None) for labels, one in series]
    yield from series_text.counters(f"{name}_failed", "Those of them that failed.", failed, is_open=is_open)
    help_ = "How long they took for the server, in seconds."
    servers = [(labels, one.server) for labels, one in series]
    yield from series_text.histograms(f"{name}_server_seconds", help_, servers, EDGE_NS, is_open=is_open)
    help_ = "How long they took for the client, in seconds."
    clients = [(labels, one.client) for labels, one in series]
    yield from series_text.histograms(f"{name}_client_seconds", help_, clients, EDGE_NS, is_open=is_open)


def _values(labels: Labels) -> list[str]:
    kind, status = f"SPAN_KIND_{labels.kind.name}", f"STATUS_CODE_{labels.status.name}"
    return [labels.service, labels.name, kind, status, *labels.dimensions]
