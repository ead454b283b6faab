"""Python's warning of threads at a fork, left out where the only thread is one of ours, which stands still then.

From 3.13 on Python counts the threads that there are after the fork, when ours goes on; 3.12 those before, and one that
has ended may still be among them. Where the program has threads, too, it is warned.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from contextlib import suppress

WARNING = r"This process \(pid=\d+\) is multi-threaded"
SHOWN_AFTER_S = 0.5  # of the fork: it has been given by then, on a busy machine, too


def nothing() -> None:
    """Where nothing was left out there is nothing to bring back."""


def leave_out_warning() -> Callable[[], None]:
    """Called before a fork, without threads of ours. Returns what brings the warning back."""
    if threading.active_count() > 1:
        return nothing
    warnings.filterwarnings("ignore", WARNING, DeprecationWarning)
    filters, ours = warnings.filters, warnings.filters[0]

    def bring_back() -> None:
        with suppress(ValueError):  # a test whose filters these were has ended
            filters.remove(ours)  # type: ignore[attr-defined]  # a list, whatever its stub says

    return bring_back
