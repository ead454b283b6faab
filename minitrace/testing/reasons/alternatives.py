"""What there is instead of what a comparison asks for.

```
span.http.status_code = 200              no span has span.http.status_code: there is span.http.response.status_code
span.http.response.status_code = "200"   span.http.response.status_code is a number: write 200, without quotes
name = "SELECT users"                    closest names: SELECT orders, SELECT item
duration > 1s                            duration is 20.3 ms at most (GET /orders)
```
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Any

from minitrace import present
from minitrace.analysis.drawing import one_line
from minitrace.traceql.ast import (
    COMPARISONS,
    Attribute,
    Binary,
    Duration,
    Field,
    Intrinsic,
    Static,
    static_text,
)
from minitrace.traceql.fields import Row, compile_field
from minitrace.traceql.names import INTRINSICS
from minitrace.traceql.values import FLIPPED, NUMBERS, compile_test, identified, identity, known

MOST_LINES = 3  # for one condition
LISTED = 5  # values, keys
CONSIDERED = 200  # different ones, the commonest first: a comparison of two texts is slow
CLOSE = 0.6  # as difflib counts: more than half of the letters in common
CLOSE_KEY = 0.7
LONGEST_VALUE, LONGEST_FIELD = 60, 80

# What an attribute was called before, or is now; see OpenTelemetry's semantic conventions.
_RENAMED = (
    ("db.statement", "db.query.text"),
    ("db.system", "db.system.name"),
    ("db.name", "db.namespace"),
    ("db.sql.table", "db.collection.name"),
    ("db.operation", "db.operation.name"),
    ("http.method", "http.request.method"),
    ("http.status_code", "http.response.status_code"),
    ("http.target", "url.path"),
    ("http.url", "url.full"),
    ("http.scheme", "url.scheme"),
    ("http.host", "server.address"),
    ("net.peer.name", "server.address"),
    ("net.peer.port", "server.port"),
    ("http.user_agent", "user_agent.original"),
    ("messaging.destination", "messaging.destination.name"),
    ("rpc.grpc.status_code", "rpc.response.status_code"),
)
_OTHER_NAMES = dict(_RENAMED) | {new: old for old, new in _RENAMED}


def alternatives(condition: Field, rows: Sequence[Row], *, are_values_told: bool = False) -> list[str]:
    """What rows have that a condition, which none of them meets, may have meant; [] where nothing is near.

    With `are_values_told` values are left out that are not like the ones asked for.
    """
    lines = (line for line in _lines(condition, rows) if line and not (are_values_told and isinstance(line, _Values)))
    return list(dict.fromkeys(islice(lines, MOST_LINES)))


class _Values(str):
    """A line that tells what values there are, whatever was asked for."""

    __slots__ = ()


def shown(field: Field, most: int = LONGEST_FIELD) -> str:
    """A part of a query on one line."""
    return one_line(str(field), most)


def value_text(value: Any) -> str:
    """A value as it would stand in a query, on one line; durations as people read them."""
    if isinstance(value, Duration):
        return present.plain(present.duration(value)) if value >= 0 else static_text(value)
    return one_line(
        present.value(value) if isinstance(value, bytes | list | dict) else static_text(value), LONGEST_VALUE
    )


def _lines(condition: Field, rows: Sequence[Row]) -> Iterator[str]:
    match condition:
        case Binary(operator, left, right) if operator in COMPARISONS:
            yield from _of_comparison(operator, left, right, rows)
        case Binary("&&" | "||", left, right):
            yield from _lines(left, rows)
            yield from _lines(right, rows)
        case Attribute():
            yield _missing(condition, rows) if not values_of(condition, rows) else f"{shown(condition)} is never true"


def _of_comparison(operator: str, left: Field, right: Field, rows: Sequence[Row]) -> Iterator[str]:
    if isinstance(left, Static):
        left, right, operator = right, left, FLIPPED.get(operator, operator)
    absent = [one for one in (left, right) if isinstance(one, Attribute) and not values_of(one, rows)]
    if absent:
        if not (operator == "=" and right == Static(None)):
            yield from (_missing(one, rows) for one in absent)
    elif isinstance(left, Attribute | Intrinsic) and isinstance(right, Static):
        yield from _of_values(operator, left, right.value, rows)


def _of_values(operator: str, field: Attribute | Intrinsic, literal: Any, rows: Sequence[Row]) -> Iterator[str]:
    """What the values of a field are, none of which compares so with the literal."""
    values = [known(value) for value in values_of(field, rows)]
    name = shown(field)
    if literal is None:
        yield f"every span has {name}" if operator == "=" else ""
    elif wrong_type := _type_mismatch(name, operator, literal, values):
        yield wrong_type
    elif operator in ("!=", "!~"):
        yield _Values(f"{name} is {_listed(values)} wherever there is one")
    elif operator in ("=", "=~"):
        yield from _closest(operator, field, literal, values)
    else:
        yield _Values(_extreme(operator, field, rows))


def values_of(field: Attribute | Intrinsic, rows: Sequence[Row]) -> list[Any]:
    """What the rows have in a field, each event's and each link's by itself."""
    value_of = compile_field(field)
    return [value for row in _places(field, rows) if (value := value_of(row)) is not None]


def _places(field: Attribute | Intrinsic, rows: Sequence[Row]) -> Iterable[Row]:
    scope = field.scope if isinstance(field, Attribute) else field.name.partition(":")[0]
    if scope == "event":
        return (row.with_event(event) for row in rows for event in row.span.events)
    if scope == "link":
        return (row.with_link(link) for row in rows for link in row.span.links)
    return rows


# Attributes that nothing has


def _missing(attribute: Attribute, rows: Sequence[Row]) -> str:
    text = shown(attribute)
    if attribute.of_parent:
        return f"no span has a parent with {shown(Attribute(attribute.scope, attribute.name))}"
    if attribute.name in INTRINSICS and attribute.scope in (None, "span"):
        return f"{text} is an attribute, which no span has: write {attribute.name} for what every span has"
    keys = _keys(rows)
    if near := _near(attribute, keys):
        return f"no span has {text}: there is {_names(near)}"
    scopes = ("span", "resource") if attribute.scope is None else (attribute.scope,)
    others = [one for one, _ in keys.most_common() if one.scope in scopes]
    return f"no span has {text}; there is {_names(others)}" if others else f"no span has {text}"


def _keys(rows: Sequence[Row]) -> Counter[Attribute]:
    """All attributes there are, and how often."""
    keys: Counter[tuple[str, str]] = Counter()
    for row in rows:
        span = row.span
        own = [("span", span.attributes), ("resource", span.resource.attributes)]
        own += [("instrumentation", span.scope.attributes)]
        own += [("event", event.attributes) for event in span.events]
        own += [("link", link.attributes) for link in span.links]
        keys.update((scope, name) for scope, attributes in own for name in attributes)
    return Counter({Attribute(*key): count for key, count in keys.items()})


def _near(attribute: Attribute, keys: Counter[Attribute]) -> list[Attribute]:
    """Attributes that were probably meant: of that name elsewhere, by its older or newer name, or of a name like it."""
    name = attribute.name
    known_as = {name, _OTHER_NAMES.get(name, name)}
    if same := [one for one in keys if one.name in known_as or one.name.endswith(f".{name}")]:
        return same
    considered = [one for one, _ in keys.most_common(CONSIDERED)]
    close = _close(name, [one.name for one in considered], CLOSE_KEY)
    return [one for wanted in close for one in considered if one.name == wanted]


def _names(attributes: Sequence[Attribute]) -> str:
    return _enumerated([shown(one) for one in attributes], len(attributes))


# Values that are others


def _type_mismatch(name: str, operator: str, literal: Any, values: Sequence[Any]) -> str:
    """What to write where values of one type are compared with a literal of another; "" where they are not."""
    types = Counter(map(_type, values))
    wanted = _type(literal)
    if wanted in types or not types:
        return ""
    found = types.most_common(1)[0][0]
    text = value_text(literal)
    if found == "text" and wanted in ("a number", "true or false"):
        return f'{name} is text: write {name} {operator} "{text}"'
    if wanted == "text" and found in ("a number", "true or false") and _reads_as(found, literal):
        return f"{name} is {found}: write {name} {operator} {literal.strip()}, without quotes"
    return f"{name} is {found}, not {wanted}: {_listed(values)}" if found else ""


def _type(value: Any) -> str:
    """What people call the type of a value, or of the elements of a list; "" where it has no name."""
    if isinstance(value, list):
        return _type(value[0]) if value else ""
    if isinstance(value, bool):
        return "true or false"
    return "text" if isinstance(value, str) else "a number" if type(value) in NUMBERS else type(value).__name__.lower()


def _reads_as(type_: str, text: str) -> bool:
    if type_ == "true or false":
        return text.strip() in ("true", "false")
    try:
        float(text)
    except ValueError:
        return False
    return True


def _closest(operator: str, field: Attribute | Intrinsic, literal: Any, values: Sequence[Any]) -> Iterator[str]:
    """The values that are nearest to one that is not there."""
    if type(literal) in NUMBERS:
        numbers = sorted({value for value in _flat(values) if type(value) in NUMBERS}, key=lambda n: abs(n - literal))
        listed = _enumerated([value_text(number) for number in numbers[:LISTED]], len(numbers))
        yield _Values(f"{shown(field)} is {listed}")
        return
    texts = [value for value, _ in Counter(v for v in _flat(values) if isinstance(v, str)).most_common(CONSIDERED)]
    if operator == "=~" and (inside := _matched_inside(literal, texts)):
        yield f'a pattern must match all of a value: write =~ ".*{literal}.*" for {value_text(inside)}'
    elif isinstance(literal, str) and (close := _close(literal, texts, CLOSE)):
        yield f"closest {_plural(field)}: {', '.join(one_line(text, LONGEST_VALUE) for text in close)}"
    else:
        yield _Values(f"{shown(field)} is {_listed(values)}")


def _plural(field: Attribute | Intrinsic) -> str:
    names = {"name": "names", "resource.service.name": "services", ".service.name": "services"}
    return names.get(str(field), f"values of {shown(field)}")


def _matched_inside(pattern: str, texts: Iterable[str]) -> str | None:
    """A text of which a part matches."""
    test = compile_test("=~", f"(?s:.*)(?:{pattern})(?s:.*)")
    return next((text for text in texts if test(text)), None)


def _extreme(operator: str, field: Attribute | Intrinsic, rows: Sequence[Row]) -> str:
    """How far the values go in the direction that was asked for, and which span's that is."""
    value_of = compile_field(field)
    found = [(value, row.span.name) for row in _places(field, rows) if isinstance(value := value_of(row), int | float)]
    if not found:
        return f"{shown(field)} is {_listed(values_of(field, rows))}"
    is_upper = operator in (">", ">=")
    value, name = max(found) if is_upper else min(found)
    return f"{shown(field)} is {value_text(value)} {'at most' if is_upper else 'at least'} ({one_line(name, 40)})"


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        yield from value if isinstance(value, list) else (value,)


def _listed(values: Sequence[Any]) -> str:
    """The commonest values, and how often each is there."""
    counts = Counter(map(identity, values))  # texts cost more, and most values come again
    common = ((value_text(identified(one)), count) for one, count in counts.most_common(LISTED))
    return _enumerated([f"{text} ×{count}" if count > 1 else text for text, count in common], len(counts))


def _enumerated(texts: Sequence[str], count: int) -> str:
    """The first of so many texts."""
    etc = [f"{present.integer(count - LISTED)} more"] if count > LISTED else []
    return ", ".join([*texts[:LISTED], *etc])


def _close(text: str, others: Iterable[str], cutoff: float) -> list[str]:
    """The texts most like one, at most three; capitals do not count."""
    by_lower = {other[:LONGEST_VALUE].lower(): other for other in others}
    return [by_lower[one] for one in get_close_matches(text[:LONGEST_VALUE].lower(), by_lower, n=3, cutoff=cutoff)]
