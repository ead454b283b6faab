"""``python -m shop.worker jobs.db``: does the jobs of a queue until it is told to end."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from opentelemetry import propagate, trace

from shop import telemetry
from shop.jobs import Job, Jobs

IDLE_S = 0.02

tracer = trace.get_tracer("shop.worker")


def work(job: Job) -> None:
    """Do one job, as part of the trace that asked for it."""
    context = propagate.extract(job.context)
    with tracer.start_as_current_span(f"send {job.kind}", context, kind=trace.SpanKind.CONSUMER) as span:
        span.set_attribute("job.id", job.id)
        with tracer.start_as_current_span("render", attributes={"template": f"{job.kind}.txt"}):
            pass


def main() -> None:
    telemetry.start("worker")
    jobs = Jobs(Path(sys.argv[1]))
    while True:
        if job := jobs.take():
            work(job)
        else:
            time.sleep(IDLE_S)


if __name__ == "__main__":
    main()
