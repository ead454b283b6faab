"""What the tests of tests have in common."""

from __future__ import annotations

import pytest

from minitrace.testing import failures


@pytest.fixture(autouse=True)
def _columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are as wide as they are without the plugin: a test with `traces` fits them to this run's terminal."""
    monkeypatch.setattr(failures, "width", 100)
