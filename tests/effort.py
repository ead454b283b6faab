"""How the work of a function grows with its input: a ratio, which is the same on any machine."""

from __future__ import annotations

import time
from collections.abc import Callable

RUNS = 5  # of which the shortest counts: what else the machine did is in the others


def growth(work: Callable[[int], Callable[[], object]], size: int, factor: int) -> float:
    """How many times the processor time for an input of `size` is that for `factor` times the input.

    `work` makes the input of a size, and returns what is measured: about `factor` if that is linear, its square if
    it is quadratic.
    """
    small, large = (_shortest_s(work(of)) for of in (size, size * factor))
    return large / small


def _shortest_s(run: Callable[[], object]) -> float:
    times = []
    for _ in range(RUNS):
        began = time.process_time()
        run()
        times.append(time.process_time() - began)
    return min(times)
