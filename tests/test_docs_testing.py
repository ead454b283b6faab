"""docs/testing.md says what is true: its code runs, its commands print what it shows, its table has every setting."""

from __future__ import annotations

import runpy
from dataclasses import fields
from pathlib import Path

import pytest

from minitrace.pytest_settings import Settings

PAGE = runpy.run_path(str(Path(__file__).parent.parent / "scripts" / "testing-page"))
DOCUMENT = PAGE["DOCUMENT"].read_text(encoding="utf-8")
SECTIONS = [section for section in PAGE["sections"](DOCUMENT) if PAGE["BLOCK"].search(section)]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.splitlines()[0].strip("# "))
def test_the_code_of_a_section_runs_and_prints_what_is_shown(section: str, tmp_path: Path) -> None:
    """Where the page is out of date, scripts/testing-page brings it up to date."""
    printed = PAGE["normal"](PAGE["played"](section, tmp_path))
    assert printed.splitlines() == PAGE["normal"](section).splitlines()


@pytest.mark.parametrize(("shown", "is_same"), [("40 ms, 3 spans", True), ("40 ms, 4 spans", False)])
def test_what_is_printed_may_differ_in_times_alone(shown: str, is_same: bool, tmp_path: Path) -> None:
    section = f"```console\n$ echo 12 ms, 3 spans\n{shown}\n```\n"
    assert (PAGE["normal"](PAGE["played"](section, tmp_path)) == PAGE["normal"](section)) is is_same


def test_code_that_does_not_run_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="does not run"):
        PAGE["played"]("```python\n# test_it.py\ndef test_it():\n    assert False\n```\n", tmp_path)


def test_an_excerpt_that_the_example_has_not_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="not in the example's conftest"):
        PAGE["played"]("```python\n# conftest.py\nfixtures = None\n```\n", tmp_path)


@pytest.mark.parametrize("setting", [setting.name for setting in fields(Settings)])
def test_the_page_tells_every_setting(setting: str) -> None:
    [line] = [line for line in DOCUMENT.splitlines() if line.startswith(f"| `minitrace_{setting} =")]
    assert f"minitrace-{setting.replace('_', '-')}`" in line
