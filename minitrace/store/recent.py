"""The last few answers, good until the file changes: for the next page, another order, the way back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

MOST_ANSWERS = 24  # the largest have a megabyte at a million spans


class Recent:
    """Answers by what was asked; `version` counts the changes of the file."""

    def __init__(self) -> None:
        self.version = 0
        self._answers: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable) -> Any:
        """What was answered, if nothing has changed since; else None."""
        if key in self._answers:
            self._answers.move_to_end(key)
        return self._answers.get(key)

    def keep(self, key: Hashable, answer: Any, version: int) -> None:
        """Keep an answer from a snapshot of this version, if that is still the newest; the oldest answer leaves."""
        if version != self.version:
            return
        self._answers[key] = answer
        if len(self._answers) > MOST_ANSWERS:
            self._answers.popitem(last=False)

    def clear(self) -> None:
        """Forget all: the file has changed."""
        self.version += 1
        self._answers.clear()
