"""Spans as tests of figures send them: near the edges of buckets of time, with all that makes calls hard to count."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from minitrace.model import UNKNOWN_SERVICE, Kind, Link, Span, Status, StatusCode
from tests.samples import MS, span, span_id, trace_id
from tests.web.counting import Leaf

S = 1_000_000_000
START, END = 1_699_999_800 * S, 1_700_000_400 * S  # ten minutes, and a multiple of ten
SERVICES = ["shop", "pay", "mail", 'a "b" \\n ü', "line\nbreak", ""]
NAMED = [service or UNKNOWN_SERVICE for service in SERVICES]
OPERATIONS = ["GET /", 'SELECT "x"\\', "ü", "line\nbreak", ""]
POSTGRES: Leaf = ("database", "postgresql orders")
LEAVES: list[tuple[dict[str, Any], Leaf | None]] = [
    ({}, None),
    ({"db.system.name": "postgresql", "db.namespace": "orders"}, POSTGRES),
    ({"db.system": "postgresql", "db.name": "orders"}, POSTGRES),
    ({"messaging.system": "kafka", "messaging.destination.name": "mails"}, ("queue", "kafka mails")),
    ({"server.address": "bank.example"}, ("external", "bank.example")),
]


def _built(
    trace: int,
    number: int,
    up: int,
    service: str,
    name: str,
    kind: Kind,
    start_ns: int,
    duration_ns: int,
    status: StatusCode,
    leaf: int,
    link: int,
    partner: str,
) -> list[Span]:
    """A span whose parent has a smaller number, or never comes; a client's partner is the server of the same id.

    A consumer may have a link: to its parent, or to a span with an id that no two share: Zipkin's spans have no links.
    """
    up_to = str(number - up) if 0 < up <= number else "never" if up == 5 else ""
    linked = (f"{trace % 2}", f"{link // 2 * 2}") if link >= 0 else (f"{trace}", up_to)
    links = [Link(trace_id(linked[0]), span_id(linked[1]))] if link >= -3 and kind is Kind.CONSUMER else []
    one = span(
        name, up_to, trace=f"{trace}", id=str(number), service=service, kind=kind, start_ns=start_ns,
        end_ns=start_ns + duration_ns, status=Status(status), attributes=LEAVES[leaf][0], links=links,
    )  # fmt: skip
    if kind is not Kind.CLIENT or not partner or number % 2 == 0:
        return [one]
    other = span(
        f"for {name}", up_to, trace=f"{trace}", id=str(number), service=partner, kind=Kind.SERVER,
        start_ns=start_ns + 1, end_ns=start_ns + 1 + duration_ns // 2,
    )  # fmt: skip
    return [one, other]


def some(names: list[Any]) -> st.SearchStrategy[list[Any]]:
    """A few of them: so spans have more in common."""
    return st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True)


def sent_by(services: list[str], names: list[str], kinds: list[Kind], buckets: list[int]) -> st.SearchStrategy[Any]:
    """Spans of these services, operations and kinds, that start at or near the edges of these buckets of 10 s."""
    near = st.builds(
        lambda bucket, ns: START + bucket * 10 * S + ns, st.sampled_from(buckets), st.sampled_from([0, 1, -1, 3 * S])
    )
    return st.builds(
        _built,
        trace=st.integers(0, 2),
        number=st.integers(0, 9),
        up=st.sampled_from([0, 1, 2, 3, 1, 2, 5]),
        service=st.sampled_from(services),
        name=st.sampled_from(names),
        kind=st.sampled_from(kinds),
        start_ns=near,
        duration_ns=st.sampled_from([0, 1, 999_999, 4 * MS, 500 * MS, 90 * S, 1800 * S, 2**62]),
        status=st.sampled_from(list(StatusCode)),
        leaf=st.integers(0, len(LEAVES) - 1),
        link=st.integers(-6, 9),
        partner=st.sampled_from(["", "pay"]),
    )


WORLDS = st.builds(sent_by, some(SERVICES), some(OPERATIONS), some(list(Kind)), some([-2, 0, 1, 2, 30, 59, 60, 62]))


def of_own_ids(drawn: Iterable[list[Span]]) -> list[Span]:
    """Those with ids that no others have, but for partners."""
    taken: dict[tuple[bytes, bytes], list[Span]] = {}
    for some in drawn:
        taken.setdefault((some[0].trace_id, some[0].span_id), some)
    return [one for some in taken.values() for one in some]


def parted(spans: list[Span], size: int) -> list[list[Span]]:
    return [spans[at : at + size] for at in range(0, len(spans), size)]


def leaf_of(one: Span) -> Leaf | None:
    """What the attributes of a span say that it calls."""
    return next(leaf for attributes, leaf in LEAVES if attributes == one.attributes)
