"""Programs in processes of their own: a provider can be set once in a process, and the SDK imported once."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import minitrace

ROOT = Path(minitrace.__file__).parent.parent


def run(*parts: str, **environment: str) -> str:
    """What a program of these parts prints; its failure is that of the test."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(map(textwrap.dedent, parts))],
        env={**kept, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()
