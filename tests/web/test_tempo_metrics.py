"""Series over HTTP: times, steps, shapes."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from minitrace.store.store import Store
from minitrace.web.parameters import default_step
from tests.samples import T0, span

S0 = T0 // 10**9
RANGE = {"start": str(S0), "end": str(S0 + 2), "step": "1s"}


async def asked(client: httpx.AsyncClient, query: str, /, path: str = "query_range", **parameters: str) -> Any:
    """The answer to a query over two seconds."""
    response = await client.get(f"/api/metrics/{path}", params={"q": query, **RANGE, **parameters})
    assert response.status_code == 200, response.text
    return response.json()


async def test_a_span_counts_in_the_bucket_that_ends_at_or_after_its_start(
    client: httpx.AsyncClient, store: Store
) -> None:
    await store.add([span("edge", start_ms=0), span("first", start_ms=1), span("full", start_ms=1000)])
    (series,) = (await asked(client, "{ } | count_over_time()"))["series"]
    assert series == {
        "labels": [{"key": "__name__", "value": {"stringValue": "count_over_time"}}],
        "samples": [{"timestampMs": str((S0 + n) * 1000), "value": value} for n, value in enumerate([1, 2, 0])],
    }


async def test_labels_keep_their_types(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("a", attributes={"code": 200, "ok": True})])
    (series,) = (await asked(client, "{ } | rate() by(span.code, span.ok)"))["series"]
    assert series["labels"] == [
        {"key": "span.code", "value": {"intValue": "200"}},
        {"key": "span.ok", "value": {"boolValue": True}},
    ]


async def test_an_instant_query_gives_one_value_over_the_range(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("a", start_ms=0), span("b", start_ms=1500)])
    answer = await asked(client, "{ } | rate()", path="query")
    assert answer["series"] == [{"labels": [{"key": "__name__", "value": {"stringValue": "rate"}}], "value": 1.0}]


async def test_exemplars_are_spans_with_their_trace(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("a", start_ms=500, duration_ms=40)])
    (series,) = (await asked(client, "{ } | max_over_time(duration)", exemplars="5"))["series"]
    (exemplar,) = series["exemplars"]
    assert (exemplar["value"], exemplar["timestampMs"], exemplar["labels"][0]["key"]) == (
        0.04, str(S0 * 1000 + 500), "trace:id",
    )  # fmt: skip


async def test_an_exemplar_of_what_is_only_counted_stands_on_the_line(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("a", start_ms=500), span("b", start_ms=1200), span("c", start_ms=1700)])
    (series,) = (await asked(client, "{ } | rate()", exemplars="100"))["series"]
    assert [sample["value"] for sample in series["samples"]] == [0, 1, 2]
    assert [exemplar["value"] for exemplar in series["exemplars"]] == [1, 2, 2]


async def test_an_exemplar_whose_sample_is_left_out_has_no_value(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("a", start_ms=500), span("b", start_ms=1200), span("c", start_ms=1700)])
    (series,) = (await asked(client, "{ } | rate() > 1", exemplars="100"))["series"]
    assert [exemplar["value"] for exemplar in series["exemplars"]] == ["NaN", 2, 2]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (f"{S0}", f"{S0 + 2}"),
        (f"{S0}000000000", f"{S0 + 2}000000000"),
        (f"{S0}.0", f"{S0 + 2}.0"),
        ("2023-11-14T22:13:20Z", "2023-11-14T22:13:22+00:00"),
    ],
)
async def test_times_are_seconds_nanoseconds_or_dates(
    client: httpx.AsyncClient, store: Store, start: str, end: str
) -> None:
    await store.add([span("a", start_ms=500)])
    (series,) = (await asked(client, "{ } | rate()", start=start, end=end))["series"]
    assert [sample["value"] for sample in series["samples"]] == [0, 1, 0]


async def test_without_times_it_is_the_last_hour(client: httpx.AsyncClient) -> None:
    answer = (await client.get("/api/metrics/query_range", params={"query": "{ } | rate()"})).json()
    samples = answer["series"][0]["samples"]
    assert 3600_000 <= int(samples[-1]["timestampMs"]) - int(samples[0]["timestampMs"]) <= 3630_000


@pytest.mark.parametrize(
    ("range_s", "step_s"), [(10, 0.05), (30, 0.1), (60, 1), (600, 2), (3600, 15), (6 * 3600, 60), (86_400 * 30, 10_800)]
)
def test_a_range_has_about_240_steps_of_a_round_length(range_s: float, step_s: float) -> None:
    assert default_step(int(range_s * 10**9)) == int(step_s * 10**9)


async def test_a_count_cut_by_the_deadline_is_said_to_be_partial(client: httpx.AsyncClient, store: Store) -> None:
    await store.add([span("a", trace=f"{n}") for n in range(3000)])
    store._readers._timeout_s = 0.005
    answer = await asked(client, "{ } !> { } | rate()")
    assert (answer["status"], "older spans are not counted" in answer["message"]) == ("PARTIAL", True)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"q": "{ }"}, "this query gives traces, not series: end it with a function, such as | rate()"),
        ({"q": "{ } | rat()"}, "rate"),
        ({"q": "{}|rate()", "start": "soon"}, "start='soon' is not a time"),
        ({"q": "{}|rate()", "start": "-5"}, "start='-5' is not a time"),
        ({"q": "{}|rate()", "start": "9" * 30}, "is not a time"),
        ({"q": "{}|rate()", "start": "20", "end": "10"}, "end is not after start"),
        ({"q": "{}|rate()", "since": "long"}, "'long' is not a duration"),
        ({"q": "{}|rate()", "step": "-1s"}, "step='-1s' is not a step"),
        ({"q": "{}|rate()", "step": "0"}, "step='0' is not a step"),
        ({"q": "{}|rate()", "step": "1ns"}, "make it at least 0.327s"),
        ({"q": "{}|rate()", "exemplars": "x"}, "exemplars='x' is not a whole number"),
    ],
)
async def test_bad_parameters_are_400_with_the_remedy(
    client: httpx.AsyncClient, parameters: dict[str, str], said: str
) -> None:
    response = await client.get("/api/metrics/query_range", params=parameters)
    assert (response.status_code, response.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    assert said in response.text
