"""Attributes that tell nothing."""

from __future__ import annotations

import pytest

from minitrace.analysis.noise import is_id, is_noise
from minitrace.model import Value


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("thread.id", True),
        ("client.port", True),
        ("process.pid", True),
        ("k8s.pod.name", True),
        ("wait_ms", True),
        ("service.version", False),
        ("http.response.status_code", False),
        ("app.export", False),
        ("process.runtime.version", False),
    ],
)
def test_what_differs_wherever_one_looks_is_known_by_its_name(name: str, expected: bool) -> None:
    assert is_noise(name) is expected


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("order", "1f0c5a12-8f3a-4c1e-9b7d-0a1b2c3d4e5f", True),
        ("order", "4bf92f3577b34da6", True),
        ("order", "2026-11-22T13:03:11Z", True),
        ("order", 1_700_000_000_000, True),
        ("order.id", "7", True),
        ("order", "deadbeef", False),
        ("order", 1_700_000_000, True),
        ("order", 999_999_999, False),
        ("order", True, False),
        ("order", 12.5, False),
        ("order", ["4bf92f3577b34da6"], False),
    ],
)
def test_ids_and_moments_are_known_by_their_looks(name: str, value: Value, expected: bool) -> None:
    assert is_id(name, value) is expected
