"""What the service map shows: its address and its fields.

`/map?since=6h&focus=database:orders&depth=2&metric=p95&view=table`

| parameter | is                                                                                     |
|-----------|----------------------------------------------------------------------------------------|
| `since`   | a period of `times.PERIODS`, the last hour without it; `from` and `to` are exact times  |
| `focus`   | a service by its name; a leaf by kind and name. Only what is near it is shown           |
| `depth`   | how many calls away, 1 without it                                                      |
| `metric`  | what the arrows tell: `rate`, `err` or `p95`                                           |
| `view`    | `table`                                                                                |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from minitrace.store.service_map import SERVICE, NodeId
from minitrace.web.address import Address
from minitrace.web.times import asked_range, read_range

PARAMETERS = ("since", "from", "to", "focus", "depth", "metric", "view")
METRICS = {"rate": "Rate", "err": "Errors", "p95": "p95"}
DEPTHS = ("1", "2", "3")


@dataclass(frozen=True, slots=True)
class MapForm:
    """What is asked. `values` are the parameters that say something; `problems` are by parameter."""

    values: dict[str, str]
    start_ns: int
    end_ns: int
    problems: dict[str, str]

    @property
    def focus(self) -> str:
        """What the map is about; "" for all."""
        return self.values.get("focus", "")

    @property
    def depth(self) -> int:
        """How far from it."""
        return int(self.values.get("depth", DEPTHS[0]))

    @property
    def metric(self) -> str:
        """What arrows tell."""
        return self.values.get("metric", "rate")

    @property
    def is_table(self) -> bool:
        """Whether it is a table, and no drawing."""
        return self.values.get("view") == "table"

    @property
    def range_ns(self) -> int:
        """How long the time is."""
        return self.end_ns - self.start_ns

    @property
    def times(self) -> dict[str, str]:
        """The parameters that tell the time, for the address of another page."""
        return asked_range(self.values)

    def address(self, root: str) -> Address:
        """The page with this form; `url` with some of it changed."""
        return Address(f"{root}/map", self.values.items(), PARAMETERS)


def focus_of(node: NodeId) -> str:
    """A node, as the address names it."""
    return node.name if node.kind == SERVICE else f"{node.kind}:{node.name}"


def read_form(parameters: Mapping[str, str], now_ns: int) -> MapForm:
    """The form of a query string; what is unknown is ignored."""
    values = {name: text for name in PARAMETERS if (text := parameters.get(name, "")).strip()}
    usual = {"depth": DEPTHS[0], "metric": "rate"}
    for name, known in (("depth", DEPTHS), ("metric", METRICS), ("view", ("table",))):
        if values.get(name) not in known or values.get(name) == usual.get(name):
            values.pop(name, None)
    problems: dict[str, str] = {}
    start_ns, end_ns = read_range(values, now_ns, problems)
    return MapForm(values, start_ns, end_ns, problems)
