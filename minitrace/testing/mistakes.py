"""Mistakes of ours: told beside what a test says, and never in place of it.

What a hook of a plugin raises ends the whole session, and no failure is shown.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

SECTION = "minitrace failed"  # of a report


@contextmanager
def noted(mistakes: list[str]) -> Iterator[None]:
    """Go on after an exception; where it was raised is added to the list."""
    try:
        yield
    except Exception:
        mistakes.append(f"This is a mistake of minitrace, not of the test.\n{traceback.format_exc()}")
