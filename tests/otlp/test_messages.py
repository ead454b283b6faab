"""Our descriptors live beside the opentelemetry-proto package of the application."""

from __future__ import annotations

import subprocess
import sys

import pytest

from minitrace.otlp import messages

BOTH = """
import sys
first, second = sys.argv[1:]
__import__(first, fromlist=["_"]); __import__(second, fromlist=["_"])
from minitrace.otlp.messages import ExportTraceServiceRequest as Ours
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest as Theirs
theirs = Theirs()
theirs.resource_spans.add().scope_spans.add().spans.add(name="checkout")
ours = Ours.FromString(theirs.SerializeToString())
assert ours.resource_spans[0].scope_spans[0].spans[0].name == "checkout"
assert Ours.DESCRIPTOR is not Theirs.DESCRIPTOR
"""


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_both_sets_of_classes_work_in_one_process_in_either_order(order: tuple[int, int]) -> None:
    modules = ("minitrace.otlp.messages", "opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    command = [sys.executable, "-c", BOTH, *(modules[index] for index in order)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_default_pool_hears_nothing_of_us() -> None:
    check = (
        "import minitrace.otlp.messages; from google.protobuf.descriptor_pool import Default; "
        "Default().FindFileByName('opentelemetry/proto/trace/v1/trace.proto')"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert "KeyError" in done.stderr


def test_status_is_wire_compatible_with_google_rpc() -> None:
    # field 1 varint, field 2 length-delimited: https://cloud.google.com/apis/design/errors#error_model
    assert messages.Status(code=3, message="no").SerializeToString() == b"\x08\x03\x12\x02no"
