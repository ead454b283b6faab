"""The words of TraceQL: intrinsics and their types, and how names, strings and durations are written."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Behind a dot, a name ends at whitespace or one of these.
NAME_END = frozenset(" \t\r\n{}()=~!<>&|^,")
_PLAIN_NAME = re.compile(r'[^\s{}()=~!<>&|^,"]+')
_UNITS = (("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000),
          ("ms", 1_000_000), ("us", 1_000), ("ns", 1))  # fmt: skip
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")  # RE2's, see regexp.QuoteMeta of Go
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


@dataclass(frozen=True, slots=True)
class IntrinsicName:
    """An intrinsic. `type` is string, int, duration, status or kind; `aliases` are other ways to write it."""

    name: str
    type: str
    aliases: tuple[str, ...] = ()
    is_unscoped: bool = True  # may be written as it is, as a word


_ALL = (
    IntrinsicName("duration", "duration", ("span:duration",)),
    IntrinsicName("name", "string", ("span:name",)),
    IntrinsicName("status", "status", ("span:status",)),
    IntrinsicName("statusMessage", "string", ("span:statusMessage",)),
    IntrinsicName("kind", "kind", ("span:kind",)),
    IntrinsicName("rootName", "string", ("trace:rootName",)),
    IntrinsicName("rootServiceName", "string", ("trace:rootService",)),
    IntrinsicName("traceDuration", "duration", ("trace:duration",)),
    IntrinsicName("nestedSetLeft", "int"),
    IntrinsicName("nestedSetRight", "int"),
    IntrinsicName("nestedSetParent", "int"),
    IntrinsicName("trace:id", "string", is_unscoped=False),
    IntrinsicName("span:id", "string", is_unscoped=False),
    IntrinsicName("span:parentID", "string", is_unscoped=False),
    IntrinsicName("span:childCount", "int", is_unscoped=False),
    IntrinsicName("event:name", "string", is_unscoped=False),
    IntrinsicName("event:timeSinceStart", "duration", is_unscoped=False),
    IntrinsicName("link:traceID", "string", is_unscoped=False),
    IntrinsicName("link:spanID", "string", is_unscoped=False),
    IntrinsicName("instrumentation:name", "string", is_unscoped=False),
    IntrinsicName("instrumentation:version", "string", is_unscoped=False),
)
INTRINSICS = {intrinsic.name: intrinsic for intrinsic in _ALL}
# Every way to write one, and its canonical name
INTRINSIC_NAMES = {alias: one.name for one in _ALL for alias in (one.name, *one.aliases)}


def attribute_text(name: str, *, in_quotes: bool = False) -> str:
    """The name of an attribute as it stands behind its scope, in quotes where it must be."""
    if _PLAIN_NAME.fullmatch(name) and not in_quotes:
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def string_text(text: str) -> str:
    """A string literal."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"


def pattern_text(text: str) -> str:
    """A regular expression that fits this text alone."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def duration_text(duration_ns: int) -> str:
    """A duration literal, exact, such as ``1m500ms``."""
    if duration_ns < 0:
        return "-" + duration_text(-duration_ns)
    parts = []
    for unit, unit_ns in _UNITS:
        count, duration_ns = divmod(duration_ns, unit_ns)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def go_duration(duration_ns: int) -> str:
    """A duration as Go prints it: ``1.5s``, ``1m0.5s``, ``250µs``; see https://pkg.go.dev/time#Duration.String."""
    if duration_ns < 0:
        return "-" + go_duration(-duration_ns)
    if duration_ns == 0:
        return "0s"
    for unit, unit_ns in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if duration_ns < unit_ns * 1000:
            return f"{_decimal(duration_ns, unit_ns)}{unit}"
    minutes, rest = divmod(duration_ns, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, 1_000_000_000)}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _decimal(number: int, unit: int) -> str:
    whole, fraction = divmod(number, unit)
    return f"{whole}.{str(fraction).zfill(len(str(unit)) - 1)}".rstrip("0").rstrip(".") if fraction else str(whole)
