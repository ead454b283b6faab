"""What `minitrace.formats.thrift` reads, written: plain and slow."""

from __future__ import annotations

import struct
from typing import Any

from minitrace.formats.thrift import BINARY, BOOL, BYTE, DOUBLE, I16, I32, I64, LIST, STRUCT, Struct, Type

FORMATS = {BOOL: ">?", BYTE: ">b", DOUBLE: ">d", I16: ">h", I32: ">i", I64: ">q"}


def write_struct(schema: Struct, values: dict[str, Any]) -> bytes:
    """A struct with those of its fields that have values."""
    fields = b"".join(
        struct.pack(">Bh", type_of(type_), number) + write(type_, values[name])
        for number, (name, type_) in schema.fields.items()
        if name in values
    )
    return fields + b"\0"


def write(type_: Type, value: Any) -> bytes:
    if isinstance(type_, Struct):
        return write_struct(type_, value)
    if isinstance(type_, list):
        return struct.pack(">Bi", type_of(type_[0]), len(value)) + b"".join(write(type_[0], item) for item in value)
    if type_ == BINARY:
        return struct.pack(">i", len(value)) + bytes(value)
    return struct.pack(FORMATS[type_], value)


def type_of(type_: Type) -> int:
    return STRUCT if isinstance(type_, Struct) else LIST if isinstance(type_, list) else type_
