"""What Jaeger's Monitor tab shows: the shapes, the units, and the time that a point stands for."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.model import Kind, Span, Status, StatusCode
from minitrace.store.store import Store
from minitrace.web import jaeger_metrics
from tests.samples import T0, span
from tests.web import jaeger_schemas as schemas

FAILED = Status(StatusCode.ERROR)
END_MS = T0 // 1_000_000 + 40_000  # 22:14:00, a whole minute
ASKED = {
    "service": "shop",
    "endTs": str(END_MS),
    "lookback": "180000",
    "step": "60000",
    "ratePer": "120000",
    "spanKind": "server",
}


def shop() -> list[Span]:
    """Within the minute that ends at `END_MS` four calls, of which one failed; in the one before two."""
    late = [
        span(name, id=f"late{n}", start_ms=n, duration_ms=100, kind=Kind.SERVER, status=FAILED if n == 3 else Status())
        for n, name in enumerate(["GET /", "GET /", "GET /", "GET /cart"])
    ]
    early = [span("GET /", id=f"early{n}", start_ms=-30_000, duration_ms=10, kind=Kind.SERVER) for n in range(2)]
    return [*late, *early, span("inner", duration_ms=5, kind=Kind.INTERNAL), span("x", service="pay", kind=Kind.SERVER)]


async def family(client: httpx.AsyncClient, path: str, **parameters: str) -> Any:
    """An answer that fits the schema."""
    response = await client.get(f"/api/metrics/{path}", params=ASKED | parameters)
    assert response.status_code == 200, response.text
    schemas.check(response.json(), schemas.METRICS)
    return response.json()


def points(metric: Any) -> dict[str, float]:
    """Values by the time of their minute."""
    return {point["timestamp"][11:-1]: point["gaugeValue"]["doubleValue"] for point in metric["metricPoints"]}


async def test_calls_are_those_of_the_time_before_each_point_a_second(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(shop())
    found = await family(client, "calls")
    (metric,) = found["metrics"]
    assert found["name"] == "service_call_rate"
    assert metric["labels"] == [{"name": "service_name", "value": "shop"}]
    assert points(metric) == {"22:11:00": 0, "22:12:00": 0, "22:13:00": 2 / 120, "22:14:00": 6 / 120}


async def test_what_came_before_the_first_point_counts_for_it(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(shop())
    (metric,) = (await family(client, "calls", lookback="0"))["metrics"]
    assert points(metric) == {"22:14:00": 6 / 120}


async def test_errors_are_a_part_of_the_calls_and_no_point_where_there_are_none(
    client: httpx.AsyncClient, store: Store
) -> None:
    await store.add(shop())
    found = await family(client, "errors", groupByOperation="true")
    assert found["name"] == "service_operation_error_rate"
    by_operation = {metric["labels"][0]["value"]: points(metric) for metric in found["metrics"]}
    assert by_operation == {"GET /": {"22:13:00": 0.0, "22:14:00": 0.0}, "GET /cart": {"22:14:00": 1.0}}
    assert [label["name"] for label in found["metrics"][0]["labels"]] == ["operation", "service_name"]


async def test_latencies_are_milliseconds_of_a_step(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(shop())
    (metric,) = (await family(client, "latencies", quantile="0.95"))["metrics"]
    found = points(metric)
    assert found.keys() == {"22:13:00", "22:14:00"}
    assert 67 < found["22:14:00"] <= 135  # 100 ms: durations are counted by powers of two
    assert 8 < found["22:13:00"] <= 17


async def test_kinds_and_services_can_be_several(client: httpx.AsyncClient, store: Store) -> None:
    await store.add(shop())
    path = "/api/metrics/calls?service=shop&service=pay&spanKind=server&spanKind=internal"
    answer = (await client.get(f"{path}&endTs={END_MS}&lookback=0&step=60000&ratePer=60000")).json()
    counted = {metric["labels"][0]["value"]: points(metric) for metric in answer["metrics"]}
    assert counted == {"pay": {"22:14:00": 1 / 60}, "shop": {"22:14:00": 5 / 60}}


async def test_a_service_without_a_name_is_monitored_too(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("a", kind=Kind.SERVER, service="")])
    (metric,) = (await family(client, "calls", service="unknown_service", lookback="0"))["metrics"]
    assert metric["labels"] == [{"name": "service_name", "value": "unknown_service"}]


async def test_nothing_called_is_no_metric(client: httpx.AsyncClient) -> None:
    for path in ("calls", "errors", "latencies"):
        assert (await family(client, path, quantile="0.5"))["metrics"] == []


async def test_nothing_given_but_the_service_is_the_last_hour_of_servers(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/metrics/calls?service=shop")
    schemas.check(response.json(), schemas.METRICS)


async def test_the_smallest_step(client: httpx.AsyncClient) -> None:
    answer = (await client.get("/api/metrics/minstep")).json()
    schemas.check(answer, schemas.enveloped(int))
    assert answer["data"] == 1000


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("calls", "service is missing: name the service that you want to monitor"),
        ("calls?service=a&spanKind=x", "spanKind='x' is none of unspecified, internal, server, client, producer"),
        ("calls?service=a&step=x", "step='x' is not a whole number of milliseconds"),
        ("calls?service=a&step=0", "step=0 is no step: write milliseconds, such as 60000"),
        ("calls?service=a&step=1", "step=1 gives more than 11000 points: make it longer"),
        ("latencies?service=a", "quantile='' is not a number from 0 to 1, such as 0.95"),
        ("latencies?service=a&quantile=nan", "quantile='nan' is not a number from 0 to 1, such as 0.95"),
    ],
)
async def test_errors_are_told_in_the_envelope(client: httpx.AsyncClient, path: str, said: str) -> None:
    response = await client.get(f"/api/metrics/{path}")
    assert response.status_code == 400
    schemas.check(response.json(), schemas.PROBLEM)
    assert said in response.json()["errors"][0]["msg"]


@given(numbers=st.lists(st.integers(0, 9).map(float)), width=st.integers(1, 12))
def test_sums_over_a_moving_width_are_those_of_slices(numbers: list[float], width: int) -> None:
    expected = [sum(numbers[max(0, n - width + 1) : n + 1]) for n in range(len(numbers))]
    assert jaeger_metrics._sums(numbers, width) == expected
