"""Thrift's binary protocol: whatever was written is read, and nothing else does harm."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.errors import DecodeError, TooLarge
from minitrace.formats import thrift
from minitrace.formats.thrift import BINARY, BOOL, BYTE, DOUBLE, I16, I32, I64, LIST, MAP, SET, STRUCT, Struct
from tests.formats.thrift_writer import write_struct

INNER = Struct({1: ("flag", BOOL), 2: ("text", BINARY)})
OUTER = Struct(
    {
        1: ("byte", BYTE),
        2: ("short", I16),
        3: ("int", I32),
        4: ("long", I64),
        5: ("double", DOUBLE),
        6: ("inner", INNER),
        7: ("inners", [INNER]),
        8: ("longs", [I64]),
        300: ("lists", [[BINARY]]),
    }
)
EMPTY = Struct({})


def integers(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


INNERS = st.fixed_dictionaries({}, optional={"flag": st.booleans(), "text": st.binary(max_size=5)})
OUTERS = st.fixed_dictionaries(
    {},
    optional={
        "byte": integers(8),
        "short": integers(16),
        "int": integers(32),
        "long": integers(64),
        "double": st.floats(allow_nan=False),
        "inner": INNERS,
        "inners": st.lists(INNERS, max_size=3),
        "longs": st.lists(integers(64), max_size=3),
        "lists": st.lists(st.lists(st.binary(max_size=3), max_size=3), max_size=3),
    },
)


def message(body: bytes, *, is_strict: bool) -> bytes:
    """A call of `emitBatch` whose first argument is a struct."""
    name = struct.pack(">i", 9) + b"emitBatch"
    head = struct.pack(">I", 0x80010004) + name if is_strict else name + b"\4"
    return head + struct.pack(">i", 0) + struct.pack(">Bh", STRUCT, 1) + body + b"\0"


@given(OUTERS)
def test_what_was_written_is_read(values: dict[str, Any]) -> None:
    body = write_struct(OUTER, values)
    assert thrift.read_struct(body, OUTER) == values
    assert thrift.read_struct(message(body, is_strict=True), OUTER) == values
    assert thrift.read_struct(message(body, is_strict=False), OUTER) == values


@given(OUTERS)
def test_what_a_schema_does_not_name_is_skipped(values: dict[str, Any]) -> None:
    known = Struct({4: OUTER.fields[4], 1000: ("last", I32)})
    everything = Struct({**OUTER.fields, 1000: ("last", I32)})
    body = write_struct(everything, values | {"last": 7})
    assert thrift.read_struct(body, known) == {name: values[name] for name in ("long",) if name in values} | {"last": 7}


@given(OUTERS, st.data())
def test_a_body_that_is_cut_off_is_refused(values: dict[str, Any], data: st.DataObject) -> None:
    body = write_struct(OUTER, values)
    with pytest.raises(DecodeError):
        thrift.read_struct(body[: data.draw(st.integers(0, len(body) - 1))], OUTER)


@given(st.binary(max_size=60) | OUTERS.map(lambda values: write_struct(OUTER, values)[::-1]))
def test_any_bytes_are_a_struct_or_refused(body: bytes) -> None:
    with suppress(DecodeError):
        assert thrift.read_struct(body, OUTER).keys() <= {name for name, _ in OUTER.fields.values()}


@pytest.mark.parametrize(
    "value",
    [
        bytes([SET, 0, 1, I64]) + struct.pack(">i", 2) + bytes(16),
        bytes([MAP, 0, 1, BINARY, I32]) + struct.pack(">i", 1) + struct.pack(">i1si", 1, b"k", 5),
        bytes([MAP, 0, 1, 0, 0]) + bytes(4),
        bytes([LIST, 0, 1, 0]) + bytes(4),
        bytes([BINARY, 0, 7]) + struct.pack(">i", 2) + b"ab",
    ],
)
def test_a_field_of_another_type_is_skipped(value: bytes) -> None:
    schema = Struct({1: ("inner", INNER), 2: ("flag", BOOL)})
    assert thrift.read_struct(value + bytes([BOOL, 0, 2, 1, 0]), schema) == {"flag": True}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "0 bytes|1 bytes announced at byte 0"),
        (bytes([99, 0, 1]), "type 99 at byte 3"),
        (bytes([LIST, 0, 8, I64]) + struct.pack(">i", 2**31 - 1), "2147483647 items announced at byte 8"),
        (bytes([LIST, 0, 8, I64]) + struct.pack(">i", -1), "-1 items announced"),
        (bytes([BINARY, 0, 9]) + struct.pack(">i", -1), "-1 bytes announced"),
        (bytes([STRUCT, 0, 9]) * 20, "nested deeper than 16 levels"),
        (bytes([LIST, 0, 9]) + bytes([LIST, 0, 0, 0, 1]) * 20, "nested deeper than 16 levels"),
    ],
)
def test_what_is_wrong_is_said(body: bytes, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        thrift.read_struct(body, OUTER)


def test_structs_are_counted_as_they_cost_more_here_than_on_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thrift, "MAX_STRUCTS", 100)
    body = bytes([LIST, 0, 1, STRUCT]) + struct.pack(">i", 100) + bytes(100) + b"\0"
    with pytest.raises(TooLarge, match="more than 100 structs"):
        thrift.read_struct(body, Struct({1: ("many", [EMPTY])}))
