r"""Counters and histograms of many series as Prometheus' text: as `prometheus_client`, in a twentieth of the time.

```
# HELP calls_total Spans.
# TYPE calls_total counter
calls_total{service="shop",span_name="GET /"} 3 # {traceID="4bf9…",spanID="00f0…"} 0.25 1700000000.5
```

That is OpenMetrics; the older format has no exemplars, and in OpenMetrics the first two lines leave out the `_total`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from minitrace.store.timings import NS, Exemplar, Timings

# As Tempo's metrics generator names them, and as Grafana's Prometheus data source expects the first one
TRACE_ID, SPAN_ID = "traceID", "spanID"

Series = Iterable[tuple[str, Timings]]  # with their labels as text
Counted = Iterable[tuple[str, int, Exemplar | None]]
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def label_text(names: Sequence[str], values: Sequence[str]) -> str:
    """Labels with their values, as they stand between the braces."""
    return ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in zip(names, values, strict=True))


def bound_names(bounds_ns: Sequence[int]) -> list[str]:
    """The bounds of buckets in seconds, as the values of the label `le`."""
    return [*(str(bound / NS) for bound in bounds_ns), "+Inf"]


def head(name: str, type_: str, help_: str) -> str:
    """The two lines above the samples of a family."""
    return f"# HELP {name} {help_}\n# TYPE {name} {type_}\n"


def counters(name: str, help_: str, series: Counted, *, is_open: bool) -> Iterator[str]:
    """A counter, named without its `_total`, of series by their labels."""
    yield head(name if is_open else f"{name}_total", "counter", help_)
    for labels, count, exemplar in series:
        yield f"{name}_total{{{labels}}} {count}{_exemplar(exemplar) if is_open else ''}\n"


def histograms(name: str, help_: str, series: Series, bounds_ns: Sequence[int], *, is_open: bool) -> Iterator[str]:
    """A histogram of series by their labels, in seconds."""
    yield head(name, "histogram", help_)
    ends = [f',le="{bound}"}} ' for bound in bound_names(bounds_ns)]
    for labels, timings in series:
        bucket = f"{name}_bucket{{{labels}"
        cumulated = timings.cumulated
        lines = [f"{bucket}{end}{count}\n" for end, count in zip(ends, cumulated, strict=True)]
        for at, exemplar in timings.exemplars.items() if is_open else ():
            lines[at] = f"{bucket}{ends[at]}{cumulated[at]}{_exemplar(exemplar)}\n"
        yield "".join(lines)
        yield f"{name}_count{{{labels}}} {cumulated[-1]}\n{name}_sum{{{labels}}} {timings.total_s!r}\n"


def _exemplar(one: Exemplar | None) -> str:
    if one is None or not one.trace_id:
        return ""
    ids = f'{TRACE_ID}="{one.trace_id.hex()}",{SPAN_ID}="{one.span_id.hex()}"'
    return f" # {{{ids}}} {one.duration_ns / NS!r} {one.time_ns / NS!r}"
