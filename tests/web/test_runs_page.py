"""The list of runs, over the app."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote_plus

import httpx
import pytest

from minitrace.store.runs import Run
from minitrace.store.store import Store
from minitrace.web.runs_page import picked, traces_url
from tests.samples import T0
from tests.web.pagetext import Page, get

SECOND = 1_000_000_000


def run(id: str, label: str = "pytest", kind: str = "command") -> Run:
    """A run that started so many seconds after T0 as its id says."""
    return Run(id, kind, label, "/home/me", T0 + int(id) * SECOND)


async def test_without_runs_the_page_says_how_to_make_one(client: httpx.AsyncClient) -> None:
    assert "minitrace run -- CMD" in (await get(client, "/runs")).text


async def test_a_run_is_listed_with_its_facts(client: httpx.AsyncClient, store: Store) -> None:
    await store.begin_run(Run("1", "command", "pytest -x", "/home/me", T0, "c0ffee00" * 5, "faster", is_dirty=True))
    await store.end_run("1", 3, T0 + 90 * SECOND)
    row = (await get(client, "/runs")).all("tr")[1]
    text = " ".join(row.text.replace("\u2009", " ").split())
    for said in ("command pytest -x", "c0ffee00 faster changed", "1 m 30 s", "⨯ 3", "Traces"):
        assert said in text


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([], ("", "")),
        ([run("1")], ("", "")),
        ([run("2", "b"), run("1", "a")], ("1", "2")),
        ([run("3"), run("2", "other"), run("1")], ("1", "3")),
        ([run("4", "server", "server"), run("3"), run("2"), run("1")], ("2", "3")),
    ],
)
def test_the_newest_run_with_an_earlier_one_of_its_command_is_picked(
    runs: Sequence[Run], expected: tuple[str, str]
) -> None:
    assert picked(runs) == expected


async def test_two_runs_are_picked_already(client: httpx.AsyncClient, store: Store) -> None:
    for id in ("1", "2"):
        await store.begin_run(run(id))
    page = await get(client, "/runs")
    assert _checked(page) == {"ra": "1", "rb": "2"}


def _checked(page: Page) -> dict[str, str]:
    boxes = [each.attributes for each in page.all("input", type="radio")]
    return {box["name"]: box["value"] for box in boxes if "checked" in box}


def test_a_command_leads_to_the_traces_that_name_it() -> None:
    assert '{ resource.minitrace.run.id = "1" }' in unquote_plus(traces_url(run("1"), T0))


def test_a_server_leads_to_the_traces_of_its_time() -> None:
    assert traces_url(run("1", "server", "server"), T0).startswith("/search?from=2023-11-14T")
