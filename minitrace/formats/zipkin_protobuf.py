"""Zipkin's ListOfSpans, protobuf, to the objects that its JSON has; see `zipkin`.

The descriptor is made here, field by field, in a pool of its own: see `otlp.messages` for why.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError as ProtobufError
from google.protobuf.message_factory import GetMessageClass

from minitrace.errors import DecodeError
from minitrace.formats import zipkin
from minitrace.model import Span

_Type = FieldDescriptorProto
# message -> its fields by number: name and type; in brackets where there may be several
_MESSAGES: dict[str, dict[int, tuple[str, Any]]] = {
    "Annotation": {1: ("timestamp", _Type.TYPE_FIXED64), 2: ("value", _Type.TYPE_STRING)},
    "Tag": {1: ("key", _Type.TYPE_STRING), 2: ("value", _Type.TYPE_STRING)},  # a map's entry
    "Endpoint": {
        1: ("serviceName", _Type.TYPE_STRING),
        2: ("ipv4", _Type.TYPE_BYTES),
        3: ("ipv6", _Type.TYPE_BYTES),
        4: ("port", _Type.TYPE_INT32),
    },
    "Span": {
        1: ("traceId", _Type.TYPE_BYTES),
        2: ("parentId", _Type.TYPE_BYTES),
        3: ("id", _Type.TYPE_BYTES),
        4: ("kind", _Type.TYPE_INT32),
        5: ("name", _Type.TYPE_STRING),
        6: ("timestamp", _Type.TYPE_FIXED64),
        7: ("duration", _Type.TYPE_UINT64),
        8: ("localEndpoint", "Endpoint"),
        9: ("remoteEndpoint", "Endpoint"),
        10: ("annotations", ["Annotation"]),
        11: ("tags", ["Tag"]),
    },
    "ListOfSpans": {1: ("spans", ["Span"])},
}
_KINDS = {1: "CLIENT", 2: "SERVER", 3: "PRODUCER", 4: "CONSUMER"}


def read_spans(body: bytes, *, now_ns: int) -> list[Span]:
    """The spans of a ListOfSpans; `now_ns` as in `zipkin.read_spans`. Raises DecodeError."""
    try:
        listed = ListOfSpans.FromString(body)
    except ProtobufError as error:
        raise DecodeError(f"the body is not a protobuf ListOfSpans of Zipkin: {error}") from None
    return zipkin.read_documents([_document(span) for span in listed.spans], now_ns=now_ns)


def _document(span: Any) -> dict[str, Any]:
    return {
        "traceId": span.traceId.hex(),
        "parentId": span.parentId.hex(),
        "id": span.id.hex(),
        "kind": _KINDS.get(span.kind),
        "name": span.name,
        "timestamp": span.timestamp,
        "duration": span.duration,
        "localEndpoint": _endpoint(span.localEndpoint),
        "remoteEndpoint": _endpoint(span.remoteEndpoint),
        "annotations": [{"timestamp": item.timestamp, "value": item.value} for item in span.annotations],
        "tags": {tag.key: tag.value for tag in span.tags},
    }


def _endpoint(message: Any) -> dict[str, Any]:
    return {
        "serviceName": message.serviceName,
        "ipv4": str(ipaddress.IPv4Address(message.ipv4)) if len(message.ipv4) == 4 else "",
        "ipv6": str(ipaddress.IPv6Address(message.ipv6)) if len(message.ipv6) == 16 else "",
        "port": message.port,
    }


def _file() -> FileDescriptorProto:
    messages = [
        DescriptorProto(name=name, field=[_field(number, *said) for number, said in fields.items()])
        for name, fields in _MESSAGES.items()
    ]
    return FileDescriptorProto(name="zipkin.proto", package="zipkin", syntax="proto3", message_type=messages)


def _field(number: int, name: str, type_: Any) -> FieldDescriptorProto:
    label = _Type.LABEL_REPEATED if isinstance(type_, list) else _Type.LABEL_OPTIONAL
    if isinstance(type_, list):
        (type_,) = type_
    if isinstance(type_, str):
        type_name = f".zipkin.{type_}"
        return FieldDescriptorProto(number=number, name=name, label=label, type=_Type.TYPE_MESSAGE, type_name=type_name)
    return FieldDescriptorProto(number=number, name=name, label=label, type=type_)


def _message(name: str) -> Any:
    pool = DescriptorPool()
    pool.AddSerializedFile(_file().SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName(f"zipkin.{name}"))


ListOfSpans = _message("ListOfSpans")
