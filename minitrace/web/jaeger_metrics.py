"""What Jaeger's Monitor tab shows, computed from the spans: how long, how many, and how many of them failed.

| path                     | a point is       | TraceQL                                                              |
|--------------------------|------------------|----------------------------------------------------------------------|
| `/api/metrics/latencies` | milliseconds     | ``quantile_over_time(duration, 0.95) by(resource.service.name)``     |
| `/api/metrics/calls`     | calls a second   | ``count_over_time() by(resource.service.name)``                      |
| `/api/metrics/errors`    | a part, 0 to 1   | the same of spans that failed, out of all                            |

Calls and errors are those of the last ``ratePer`` before a point, a time that moves on with every ``step``; latencies
are those of the step. There is no envelope here, and no point where nothing was called.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial, reduce
from itertools import accumulate
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from minitrace.errors import DecodeError
from minitrace.model import UNKNOWN_SERVICE, Kind, StatusCode
from minitrace.store.store import Store
from minitrace.traceql.ast import Binary, Field, Intrinsic, Static
from minitrace.traceql.parser import parse
from minitrace.traceql.series import Range
from minitrace.web.fields import of_service
from minitrace.web.jaeger_answers import MS_NS, answering, envelope, problem, read_flag, read_ms
from minitrace.web.named import store_of
from minitrace.web.parameters import MAX_STEPS

SECOND_NS = 1000 * MS_NS
STEP_NS, RATE_NS, LOOKBACK_NS = 5 * SECOND_NS, 600 * SECOND_NS, 3600 * SECOND_NS  # where none is given
SMALLEST_STEP_MS = 1000
FAILED = Binary("=", Intrinsic("status"), Static(StatusCode.ERROR))
_KINDS = {kind.name.lower(): kind for kind in Kind}

Key = tuple[str, str]  # a service, and an operation where they are told apart
Samples = dict[Key, list[float | None]]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which spans count, and when, in nanoseconds: points at every step of the lookback up to the end."""

    condition: Field
    by_operation: bool
    end_ns: int
    lookback_ns: int
    step_ns: int
    rate_ns: int

    @property
    def steps(self) -> int:
        """Over how many steps a point is counted."""
        return max(1, self.rate_ns // self.step_ns)

    @property
    def stamps_ns(self) -> list[int]:
        """When the points are."""
        return self.range().stamps_ns

    def range(self, steps_before: int = 0) -> Range:
        """The time of the points, and some steps before it."""
        start_ns = self.end_ns - self.lookback_ns - steps_before * self.step_ns
        return Range.aligned(max(0, start_ns), self.end_ns, self.step_ns)


@answering(problem)
async def latencies(request: Request) -> Response:
    """How long a share of the spans, ``quantile``, took at most."""
    asked, quantile = read(request.query_params), _read_quantile(request.query_params)
    found = await _samples(
        store_of(request), asked, asked.condition, f"quantile_over_time(duration, {quantile})", asked.range()
    )
    samples: Samples = {key: [one * 1000 or None for one in own] for key, own in found.items()}
    return _family("latencies", f"the {quantile} quantile of latencies, in milliseconds", asked, samples)


@answering(problem)
async def calls(request: Request) -> Response:
    """How many spans there were each second."""
    asked = read(request.query_params)
    seconds = asked.steps * asked.step_ns / SECOND_NS
    counted = await _counts(store_of(request), asked, asked.condition)
    samples: Samples = {key: [number / seconds for number in own] for key, own in counted.items()}
    return _family("call_rate", "calls per second", asked, samples)


@answering(problem)
async def errors(request: Request) -> Response:
    """Which part of the spans failed."""
    asked, store = read(request.query_params), store_of(request)
    counted = await _counts(store, asked, asked.condition)
    failed = await _counts(store, asked, Binary("&&", asked.condition, FAILED))
    samples: Samples = {key: _parts(failed.get(key, [0.0] * len(own)), own) for key, own in counted.items()}
    return _family("error_rate", "the part of calls that failed, 0 to 1", asked, samples)


def _parts(some: Sequence[float], all_: Sequence[float]) -> list[float | None]:
    return [part / whole if whole else None for part, whole in zip(some, all_, strict=True)]


async def smallest_step(request: Request) -> Response:
    """``GET /api/metrics/minstep``, in milliseconds."""
    return JSONResponse(envelope(SMALLEST_STEP_MS))


async def _counts(store: Store, asked: Asked, condition: Field) -> dict[Key, list[float]]:
    """How many spans there were, for each point in the steps before it."""
    before = asked.steps - 1
    found = await _samples(store, asked, condition, "count_over_time()", asked.range(before))
    points = len(asked.stamps_ns)
    return {key: _sums(own, asked.steps)[-points:] for key, own in found.items()}


def _sums(numbers: Sequence[float], width: int) -> list[float]:
    """For each number the sum of it and of those before it, so many in all."""
    sums = [0.0, *accumulate(numbers)]
    return [sums[end] - sums[max(0, end - width)] for end in range(1, len(sums))]


async def _samples(store: Store, asked: Asked, condition: Field, function: str, range: Range) -> dict[Key, list[float]]:
    """What a function of TraceQL gives for each step; 0 where there is nothing."""
    by = "resource.service.name, name" if asked.by_operation else "resource.service.name"
    result = await store.metrics(parse(f"{{ {condition} }} | {function} by({by})"), range)
    found: dict[Key, list[float]] = {}
    for series in result.series:
        labels = dict(series.labels)
        key = str(labels.get("resource.service.name") or UNKNOWN_SERVICE), str(labels.get("name") or "")
        found[key] = [float(sample or 0) for sample in series.samples]
    return found


def _family(name: str, about: str, asked: Asked, samples: Samples) -> Response:
    """Metrics as Jaeger tells them, by service and operation."""
    about += ", by service and operation" if asked.by_operation else ", by service"
    stamps = [_time(stamp_ns) for stamp_ns in asked.stamps_ns]
    return JSONResponse({
        "name": f"service_{'operation_' if asked.by_operation else ''}{name}",
        "type": "GAUGE",
        "help": about,
        "metrics": [
            {"labels": _labels(key, asked.by_operation), "metricPoints": list(_points(stamps, own))}
            for key, own in sorted(samples.items())
        ],
    })  # fmt: skip


def _labels(key: Key, by_operation: bool) -> list[dict[str, str]]:
    service, operation = key
    labels = [{"name": "service_name", "value": service}]
    return [{"name": "operation", "value": operation}, *labels] if by_operation else labels


def _points(stamps: Iterable[str], samples: Iterable[float | None]) -> Iterator[dict[str, Any]]:
    for stamp, sample in zip(stamps, samples, strict=True):
        if sample is not None:
            yield {"gaugeValue": {"doubleValue": sample}, "timestamp": stamp}


def _time(time_ns: int) -> str:
    text = datetime.fromtimestamp(time_ns // SECOND_NS, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{time_ns % SECOND_NS:09}".rstrip("0").rstrip(".") + "Z"


def read(parameters: QueryParams) -> Asked:
    """What the parameters ask for. Raises DecodeError."""
    services = parameters.getlist("service")
    if not any(services):
        raise DecodeError("service is missing: name the service that you want to monitor")
    kinds = [_read_kind(text) for text in parameters.getlist("spanKind")] or [Kind.SERVER]
    step_ns = read_ms(parameters, "step", STEP_NS)
    asked = Asked(
        condition=Binary(
            "&&",
            _any(map(of_service, services)),
            _any(Binary("=", Intrinsic("kind"), Static(kind)) for kind in kinds),
        ),
        by_operation=read_flag(parameters, "groupByOperation"),
        end_ns=read_ms(parameters, "endTs", time.time_ns()),
        lookback_ns=read_ms(parameters, "lookback", LOOKBACK_NS),
        step_ns=step_ns,
        rate_ns=read_ms(parameters, "ratePer", RATE_NS),
    )
    if not step_ns:
        raise DecodeError("step=0 is no step: write milliseconds, such as 60000")
    if (asked.lookback_ns + asked.rate_ns) // step_ns > MAX_STEPS:
        raise DecodeError(f"step={step_ns // MS_NS} gives more than {MAX_STEPS} points: make it longer")
    return asked


def _any(conditions: Iterable[Field]) -> Field:
    return reduce(partial(Binary, "||"), conditions)


def _read_kind(text: str) -> Kind:
    kind = _KINDS.get(text.lower().removeprefix("span_kind_"))
    if kind is None:
        raise DecodeError(f"spanKind={text[:40]!r} is none of {', '.join(_KINDS)}")
    return kind


def _read_quantile(parameters: QueryParams) -> float:
    try:
        quantile = float(parameters.get("quantile", ""))
    except ValueError:
        quantile = -1
    if not 0 <= quantile <= 1:
        raise DecodeError(f"quantile={parameters.get('quantile', '')[:40]!r} is not a number from 0 to 1, such as 0.95")
    return quantile


routes = [
    Route("/api/metrics/latencies", latencies),
    Route("/api/metrics/calls", calls),
    Route("/api/metrics/errors", errors),
    Route("/api/metrics/minstep", smallest_step),
]
