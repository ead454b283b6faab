"""The form's fields and the conditions they stand for, both ways.

| field        | text              | condition                                  |
|--------------|-------------------|--------------------------------------------|
| `service`    | ``shop``          | ``resource.service.name = "shop"``         |
| `name`       | ``GET /cart``     | ``name = "GET /cart"``                     |
| `status`     | ``error``         | ``status = error``                         |
| `min`, `max` | ``1.5s``          | ``duration >= 1s500ms``, ``duration <= …`` |
| `attributes` | ``a=1 url~cart``  | several: see `terms`                       |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from minitrace.durations import parse_duration
from minitrace.errors import DecodeError
from minitrace.model import UNKNOWN_SERVICE, StatusCode
from minitrace.store.dictionary import AttributeKey
from minitrace.traceql.ast import Attribute, Binary, Duration, Field, Intrinsic, Query, Static, Unary
from minitrace.traceql.names import duration_text
from minitrace.web import terms
from minitrace.web.refining import conditions

FIELDS = ("service", "name", "attributes", "status", "min", "max")
STATUSES = {"error": StatusCode.ERROR, "ok": StatusCode.OK, "unset": StatusCode.UNSET}
DURATION_HELP = "Write a number and a unit, such as 250ms, 1.5s or 2m."

Reading = dict[str, Field]
"""The conditions that a field stands for, by their texts in it."""


def read(name: str, text: str, keys: Sequence[AttributeKey] = ()) -> Reading:
    """What a field says. `keys` are those that attributes have.

    Raises:
        DecodeError: it cannot be read; says what works.
    """
    if name == "attributes":
        found = terms.read_terms(text)
        return dict(zip(map(str, found), terms.conditions(found, keys), strict=True))
    if name in ("min", "max"):
        return {text: _duration(">=" if name == "min" else "<=", text)}
    if name == "status":
        return {text: Binary("=", Intrinsic("status"), Static(STATUSES[text]))} if text in STATUSES else {}
    return {text: of_service(text) if name == "service" else Binary("=", Intrinsic("name"), Static(text))}


def derived(query: Query, *, in_browser: bool = True) -> dict[str, Reading]:
    """What each field says of a query's conditions; a field that says nothing is left out.

    The first condition that a field can stand for is shown in it, of attributes all. What a field in a browser would
    change, such as a line break, is no text for one.
    """
    found: dict[str, Reading] = {}
    for condition in conditions(query):
        for name, text in _said(condition):
            if in_browser and not text.isprintable():
                continue
            if name == "attributes" or name not in found:
                found.setdefault(name, {})[text] = condition
                break
    return found


def texts(readings: Mapping[str, Reading]) -> dict[str, str]:
    """The fields' texts."""
    return {name: " ".join(reading) for name, reading in readings.items() if reading}


def changes(before: Reading, after: Reading) -> tuple[list[Field], list[Field]]:
    """The conditions that went, and those that came. A text that stayed means what it meant."""
    now = [before.get(text, condition) for text, condition in after.items()]
    then = list(before.values())
    return [one for one in then if one not in now], [one for one in now if one not in then]


def of_service(name: str) -> Field:
    """The condition for the spans of a service, those that name none included where it is "unknown_service"."""
    service = Attribute("resource", "service.name")
    if name != UNKNOWN_SERVICE:
        return Binary("=", service, Static(name))
    has_none = Unary("!", Binary("!=", service, Static("")))  # neither a name nor the empty one
    return Binary("||", Binary("=", service, Static(name)), has_none)


def _said(condition: Field) -> Iterable[tuple[str, str]]:
    """The fields that can stand for a condition, and how."""
    found = []
    match condition:
        case Binary("=", Attribute("resource", "service.name", False), Static(str(text))):
            found.append(("service", text))
        case Binary("=", Intrinsic("name"), Static(str(text))):
            found.append(("name", text))
        case Binary("=", Intrinsic("status"), Static(StatusCode() as status)):
            found.append(("status", status.name.lower()))
        case Binary((">=" | "<=") as sign, Intrinsic("duration"), Static(Duration() as duration)) if duration >= 0:
            found.append(("min" if sign == ">=" else "max", duration_text(duration)))
        case _ if condition == of_service(UNKNOWN_SERVICE):
            found.append(("service", UNKNOWN_SERVICE))
    if term := terms.term(condition):
        found.append(("attributes", str(term)))
    return [(name, text) for name, text in found if text.strip()]


def _duration(sign: str, text: str) -> Field:
    try:
        return Binary(sign, Intrinsic("duration"), Static(Duration(parse_duration(text))))
    except DecodeError as error:
        raise DecodeError(DURATION_HELP) from error
