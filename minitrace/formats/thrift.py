"""Apache Thrift's binary protocol: bytes to the structs that a schema names.

```
struct = (type:u8 id:i16 value)* 0:u8
list   = type:u8 count:i32 value*          also set
map    = type:u8 type:u8 count:i32 (value value)*
binary = length:i32 byte*                  also string
```

All numbers are big-endian. A schema is a `Struct`; of what it does not name, or names as another type, the bytes are
skipped, as Thrift's own readers do. What a request can ask for is bounded: counts by the bytes that are there, depth,
and the number of structs, which cost one byte each at least on the wire, and a hundred here.

See https://github.com/apache/thrift/blob/master/doc/specs/thrift-binary-protocol.md
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct as Packed
from typing import Any, Union

from minitrace.errors import DecodeError, TooLarge

BOOL, BYTE, DOUBLE, I16, I32, I64, BINARY = 2, 3, 4, 6, 8, 10, 11
STRUCT, MAP, SET, LIST = 12, 13, 14, 15
MAX_DEPTH = 16
MAX_STRUCTS = 4_000_000  # 200 000 spans with 20 tags each; 300 MB
_SIZES = {BOOL: 1, BYTE: 1, DOUBLE: 8, I16: 2, I32: 4, I64: 8}
_LEAST = {**_SIZES, BINARY: 4, STRUCT: 1, MAP: 6, SET: 5, LIST: 5}  # bytes on the wire
_NUMBERS = {
    BOOL: Packed(">?"),
    BYTE: Packed(">b"),
    DOUBLE: Packed(">d"),
    I16: Packed(">h"),
    I32: Packed(">i"),
    I64: Packed(">q"),
}
_FIELD = Packed(">Bh")
_ITEMS = Packed(">Bi")
_PAIRS = Packed(">BBi")
_VERSION_1 = 0x80


@dataclass(frozen=True, slots=True)
class Struct:
    """A struct's fields by their numbers: name and type. A list's type is the type of its items, in a list."""

    fields: Mapping[int, tuple[str, Type]]


Type = Union[int, Struct, list["Type"]]  # noqa: UP007 (recursive)


def read_struct(body: bytes, schema: Struct) -> dict[str, Any]:
    """A struct that is alone in the body, or the first argument of a message in it.

    Fields that are not there are missing; strings are bytes.

    Raises:
        DecodeError: it is no such struct.
        TooLarge: it has more than `MAX_STRUCTS` structs in it.
    """
    reader = _Reader(body)
    if _is_message(body):
        reader.skip_message_head()
        schema = Struct({1: ("argument", schema)})
        argument: dict[str, Any] = reader.struct(schema, 0).get("argument", {})
        return argument
    return reader.struct(schema, 0)


def _is_message(body: bytes) -> bool:
    """Whether a call is wrapped around the struct: strict, with a version, or not, with the length of its name.

    A struct begins with the type of its first field, which is neither.
    """
    return len(body) > 1 and body[0] in (_VERSION_1, 0)


class _Reader:
    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0
        self._structs = 0

    def skip_message_head(self) -> None:
        if self._body[0] == _VERSION_1:
            self._at = 4
            self._binary()
        else:
            self._binary()
            self._advance(1)
        self._advance(4)

    def struct(self, schema: Struct, depth: int) -> dict[str, Any]:
        self._enter(depth)
        self._structs += 1
        if self._structs > MAX_STRUCTS:
            raise TooLarge(f"more than {MAX_STRUCTS} structs in one request: send smaller batches")
        values: dict[str, Any] = {}
        while self._byte():
            self._at -= 1
            type_, number = self._unpack(_FIELD)
            name, wanted = schema.fields.get(number, ("", 0))
            if _type_of(wanted) == type_:
                values[name] = self._value(wanted, depth)
            else:
                self._skip(type_, depth)
        return values

    def _value(self, wanted: Type, depth: int) -> Any:
        if isinstance(wanted, Struct):
            return self.struct(wanted, depth + 1)
        if isinstance(wanted, list):
            return self._list(wanted[0], depth + 1)
        if wanted == BINARY:
            return self._binary()
        (number,) = self._unpack(_NUMBERS[wanted])
        return number

    def _list(self, wanted: Type, depth: int) -> list[Any]:
        self._enter(depth)
        type_, count = self._items()
        if type_ == _type_of(wanted):
            return [self._value(wanted, depth) for _ in range(count)]
        self._skip_many(type_, count, depth)
        return []

    def _skip(self, type_: int, depth: int) -> None:
        self._enter(depth)
        if type_ == STRUCT:
            while field := self._byte():
                self._advance(2)
                self._skip(field, depth + 1)
        elif type_ == BINARY:
            self._binary()
        elif type_ in (LIST, SET):
            self._skip_many(*self._items(), depth)
        elif type_ == MAP:
            key, value, count = self._unpack(_PAIRS)
            self._check(count, self._least(key) + self._least(value) if count else 1)
            for _ in range(count):
                self._skip(key, depth + 1)
                self._skip(value, depth + 1)
        else:
            self._advance(self._least(type_))

    def _skip_many(self, type_: int, count: int, depth: int) -> None:
        if type_ in _SIZES:
            self._advance(count * _SIZES[type_])
            return
        for _ in range(count):
            self._skip(type_, depth + 1)

    def _items(self) -> tuple[int, int]:
        """The head of a list: the type of its items, and how many there are, for which there are bytes enough."""
        type_, count = self._unpack(_ITEMS)
        self._check(count, self._least(type_) if count else 1)
        return type_, count

    def _check(self, count: int, least: int) -> None:
        if not 0 <= count * least <= len(self._body) - self._at:
            raise DecodeError(f"the body is cut off, or no Thrift: {count} items announced at byte {self._at}")

    def _least(self, type_: int) -> int:
        if type_ not in _LEAST:
            raise DecodeError(f"the body is no Thrift: type {type_} at byte {self._at}")
        return _LEAST[type_]

    def _enter(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise DecodeError(f"the body is nested deeper than {MAX_DEPTH} levels")

    def _binary(self) -> bytes:
        (length,) = self._unpack(_NUMBERS[I32])
        start = self._at
        self._advance(length)
        return self._body[start : self._at]

    def _byte(self) -> int:
        self._advance(1)
        return self._body[self._at - 1]

    def _unpack(self, packed: Packed) -> tuple[Any, ...]:
        start = self._at
        self._advance(packed.size)
        return packed.unpack_from(self._body, start)

    def _advance(self, length: int) -> None:
        if not 0 <= length <= len(self._body) - self._at:
            raise DecodeError(f"the body is cut off, or no Thrift: {length} bytes announced at byte {self._at}")
        self._at += length


def _type_of(wanted: Type) -> int:
    return STRUCT if isinstance(wanted, Struct) else LIST if isinstance(wanted, list) else wanted
