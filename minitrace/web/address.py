"""The address of a trace's page: all that is seen of it, in one order, without what is as usual.

``/trace/4bf9…?view=table&span=00f0…&find=declined`` — a link made from another one changes what it is about and keeps
the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote, urlencode

PARAMETERS = (
    "view", "span", "find", "only", "show", "hide", "without", "min", "root", "t", "depth", "x", "runs", "skew", "gaps",
    "logs", "by", "sort", "at", "page", "level",
)  # fmt: skip


class Address:
    """A page as it is seen now; `url` is where it is seen otherwise. `parameters` are those that it has, in order."""

    def __init__(
        self, base: str, pairs: Iterable[tuple[str, str]] = (), parameters: Sequence[str] = PARAMETERS
    ) -> None:
        self.base = base
        self._place = {name: place for place, name in enumerate(parameters)}
        known = [(name, value) for name, value in pairs if name in self._place and value != ""]
        self.pairs = sorted(known, key=lambda pair: self._place[pair[0]])

    def url(self, **changes: str | int | None) -> str:
        """The address with these parameters in place of those of the same names; None is without."""
        pairs = [(name, value) for name, value in self.pairs if name not in changes]
        pairs += [(name, str(value)) for name, value in changes.items() if value is not None]
        pairs.sort(key=lambda pair: self._place[pair[0]])
        return self.base + (f"?{urlencode(pairs, quote_via=quote, safe=',:')}" if pairs else "")

    def given(self, name: str) -> str:
        """The value of a parameter; "" for none."""
        return next((value for known, value in self.pairs if known == name), "")
