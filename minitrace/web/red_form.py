"""What the page of rates, errors and durations is about: its address, its fields, and the searches that it stands for.

`/red?service=cart&operation=GET+%2Fcart&kind=all&since=6h&compare=1&sort=-p95`

| parameter   | is                                                                                         |
|-------------|--------------------------------------------------------------------------------------------|
| `service`   | one service, told by its operations; without it all of them                                |
| `operation` | one operation of that service                                                              |
| `kind`      | `out`, `inner` or `all`; without it what serves: spans of the kinds server and consumer    |
| `since`     | a period of `times.PERIODS`, the last hour without it; `from` and `to` are exact times      |
| `compare`   | `1`: beside the range before, as long                                                      |
| `sort`      | a column of the table, with `-` the largest first                                          |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from urllib.parse import quote_plus

from minitrace.model import Kind, StatusCode
from minitrace.store import orders
from minitrace.store.red import RedQuestion
from minitrace.traceql.ast import Binary, Duration, Field, Intrinsic, Pipeline, Query, SpansetFilter, Static
from minitrace.web.address import Address
from minitrace.web.fields import of_service
from minitrace.web.span_table import Order, read_order
from minitrace.web.times import asked_range, exact_range, read_range

PARAMETERS = ("service", "operation", "kind", "since", "from", "to", "compare", "sort")
KINDS: dict[str, tuple[str, frozenset[Kind]]] = {
    "": ("Served (server, consumer)", frozenset({Kind.SERVER, Kind.CONSUMER})),
    "out": ("Called (client, producer)", frozenset({Kind.CLIENT, Kind.PRODUCER})),
    "inner": ("Internal", frozenset({Kind.INTERNAL})),
    "all": ("All kinds", frozenset()),
}
ORDERS = ("subject", "rate", "errors", "p50", "p95", "p99", "impact")
BY_IMPACT = Order("impact", is_descending=True)
SECOND_NS = 1_000_000_000
MOST_STEPS = 75
STEPS_S = (10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)


@dataclass(frozen=True, slots=True)
class RedForm:
    """What is asked. `values` are the parameters that say something; `problems` are by parameter."""

    values: dict[str, str]
    start_ns: int
    end_ns: int
    problems: dict[str, str]

    @property
    def service(self) -> str | None:
        """The service that it is about."""
        return self.values.get("service")

    @property
    def operation(self) -> str | None:
        """The operation that it is about; none without a service."""
        return self.values.get("operation") if self.service else None

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of spans that count; all of them where it is empty."""
        return KINDS[self.values.get("kind", "")][1]

    @property
    def times(self) -> dict[str, str]:
        """The parameters that tell the time, for the address of another page."""
        return asked_range(self.values)

    @property
    def order(self) -> Order:
        """What the table is sorted by."""
        return read_order(self.values.get("sort", ""), ORDERS, BY_IMPACT)

    @property
    def question(self) -> RedQuestion:
        """The same for the store."""
        step_ns = step_of(self.end_ns - self.start_ns)
        return RedQuestion(
            self.start_ns,
            self.end_ns,
            step_ns,
            self.service,
            self.operation,
            self.kinds,
            is_compared=self.values.get("compare") == "1",
        )

    def address(self, root: str) -> Address:
        """The page with this form; `url` with some of it changed."""
        return Address(f"{root}/red", self.values.items(), PARAMETERS)


def read_form(parameters: Mapping[str, str], now_ns: int) -> RedForm:
    """The form of a query string; what is unknown is ignored."""
    values = {name: text for name in PARAMETERS if (text := parameters.get(name, "")).strip()}
    problems: dict[str, str] = {}
    if values.get("kind") not in KINDS:
        values.pop("kind", None)
    start_ns, end_ns = read_range(values, now_ns, problems)
    return RedForm(values, start_ns, end_ns, problems)


def step_of(range_ns: int) -> int:
    """The shortest step of round length that gives at most `MOST_STEPS`."""
    least_ns = range_ns // MOST_STEPS
    day_ns = STEPS_S[-1] * SECOND_NS
    return next((step * SECOND_NS for step in STEPS_S if step * SECOND_NS >= least_ns), -(-least_ns // day_ns) * day_ns)


class Searches:
    """The searches for the spans of a question, or of one of its subjects: a service, or an operation.

    A heat map needs a thousand addresses: queries and times are made once, and put together.
    """

    def __init__(self, question: RedQuestion, subject: str | None = None) -> None:
        self._conditions = _conditions(question, subject)
        self._times = exact_range(question.start_ns, question.end_ns)

    @property
    def all(self) -> str:
        """The traces with these spans, the newest first."""
        return search_url(self.query(), self._times)

    @property
    def slowest(self) -> str:
        """The longest traces first."""
        return f"{self.all}&sort={quote_plus(orders.Order.LONGEST)}"

    @property
    def failed(self) -> str:
        """Those with one that failed."""
        return search_url(self.query(Binary("=", Intrinsic("status"), Static(StatusCode.ERROR))), self._times)

    def between(self, above_ns: int | None, up_to_ns: int) -> str:
        """The query for those that took longer than one duration, if it is given, and not longer than the other."""
        limits = [Binary("<=", Intrinsic("duration"), Static(Duration(up_to_ns)))]
        if above_ns is not None:
            limits.insert(0, Binary(">", Intrinsic("duration"), Static(Duration(above_ns))))
        return self.query(*limits)

    def query(self, *more: Field) -> str:
        """The TraceQL for them, as an address has it, with further conditions."""
        conditions = [*self._conditions, *more]
        wanted = SpansetFilter(reduce(_and, conditions)) if conditions else SpansetFilter()
        return quote_plus(str(Query(Pipeline((wanted,)))))


def search_url(query: str, range: str) -> str:
    """The search for a query of `Searches` within an `exact_range`."""
    return f"/search?q={query}&{range}"


def _and(left: Field, right: Field) -> Field:
    return Binary("&&", left, right)


def _or(left: Field, right: Field) -> Field:
    return Binary("||", left, right)


def _conditions(question: RedQuestion, subject: str | None) -> list[Field]:
    service = question.service or subject
    operation = question.operation or (subject if question.service else None)
    found: list[Field] = [of_service(service)] if service else []
    if operation is not None:
        found.append(Binary("=", Intrinsic("name"), Static(operation)))
    if question.kinds:
        kinds: list[Field] = [Binary("=", Intrinsic("kind"), Static(kind)) for kind in sorted(question.kinds)]
        found.append(reduce(_or, kinds))
    return found
