"""The clock that waits go by."""

from __future__ import annotations

import time
from collections.abc import Callable


def now(clock: Callable[[], float] = time.monotonic) -> float:
    """Seconds of a clock that is never set back.

    It is held as a default because freezegun replaces what modules name: in frozen time no wait would ever end.
    """
    return clock()
