"""A program with a stock SDK and exporter: makes a span for each line it reads, and says when that had ended.

Its argument says how it ends: "end" by itself, when there are no more lines; "terminated" by SIGTERM, 0.2 s later.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)

for number, _ in enumerate(sys.stdin):
    with trace.get_tracer("worker").start_as_current_span("job", attributes={"number": number}):
        pass
    print(time.time_ns(), flush=True)
if sys.argv[1] == "terminated":
    threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGTERM]).start()
    signal.pause()
