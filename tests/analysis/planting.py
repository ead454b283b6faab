"""The demo shop's traces, and regressions to plant into them."""

from __future__ import annotations

import copy
from random import Random

from minitrace.demo import shop_trace
from minitrace.model import Span
from tests.samples import T0


def orders(seed: int, count: int, name: str = "POST /checkout") -> list[list[Span]]:
    """So many of the shop's traces with this root, without errors."""
    rng = Random(seed)
    found: list[list[Span]] = []
    while len(found) < count:
        spans = shop_trace(rng, T0)
        own = [span for span in spans if span.trace_id == spans[0].trace_id]
        if any(span.name == name and not span.parent_id for span in own) and not any(span.is_error for span in own):
            found.append(own)
    return found


def slower(spans: list[Span], name: str, factor: float) -> list[Span]:
    """A trace whose spans of a name take so many times as long."""
    spans = copy.deepcopy(spans)
    for span in [span for span in spans if span.name == name]:
        _lengthen(spans, span, round(span.duration_ns * (factor - 1)))
    return spans


def repeated(spans: list[Span], name: str, count: int) -> list[Span]:
    """A trace with so many calls in place of the first one of a name, one after another."""
    spans = copy.deepcopy(spans)
    first = next(span for span in spans if span.name == name)
    length_ns = first.duration_ns
    _lengthen(spans, first, length_ns * (count - 1))
    first.end_ns = first.start_ns + length_ns
    for number in range(1, count):
        again = copy.deepcopy(first)
        again.span_id = bytes([number]) + first.span_id[1:]
        again.start_ns += number * length_ns
        again.end_ns += number * length_ns
        spans.append(again)
    return spans


def _lengthen(spans: list[Span], span: Span, by_ns: int) -> None:
    """Make a span last longer: what comes after it moves, and those above it last longer as far as they must."""
    below: dict[bytes, list[Span]] = {}
    for each in spans:
        below.setdefault(each.parent_id, []).append(each)
    by_id = {each.span_id: each for each in spans}
    while True:
        siblings = below[span.parent_id]
        end_ns, last_ns = span.end_ns, max(each.end_ns for each in siblings)
        span.end_ns += by_ns
        for sibling in siblings:
            if sibling.start_ns >= end_ns:
                _move(below, sibling, by_ns)
        by_ns = max(each.end_ns for each in siblings) - last_ns
        if span.parent_id not in by_id:
            return
        span = by_id[span.parent_id]


def _move(below: dict[bytes, list[Span]], span: Span, by_ns: int) -> None:
    span.start_ns += by_ns
    span.end_ns += by_ns
    for child in below.get(span.span_id, []):
        _move(below, child, by_ns)
