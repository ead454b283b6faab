"""What goes wrong in the shop for a while: a report takes the connections that payments need.

```
14:02:30  payment  job settlement-report started …, 8 workers with a connection each      in no trace
14:02:41  payment  connection pool exhausted: 10 of 10 in use, 8 by job settlement-report  in the span that waits
          …
14:05:00  payment  job settlement-report finished …                                        in no trace
```
"""

from __future__ import annotations

from dataclasses import dataclass

from minitrace.demo.services import PAYMENT, Release
from minitrace.model import Attributes, LogRecord, Severity

SECOND_NS = 1_000_000_000
ENDED_S = 4 * 60  # so long ago
LASTED_S = 150
LONGEST_S = 10  # of requests that pay

POOL_SIZE = 10
_WORKERS = 8
_JOB = "settlement-report"
_OF_JOB: Attributes = {"app.job.name": _JOB, "app.job.trigger": "finance@shop.example"}
EXHAUSTED = f"connection pool exhausted: {POOL_SIZE} of {POOL_SIZE} in use, {_WORKERS} by job {_JOB}"
SAID: Attributes = {**_OF_JOB, "db.client.connection.pool.name": PAYMENT.name, "app.pool.size": POOL_SIZE}


@dataclass(frozen=True)
class Incident:
    """The time for which the report runs, in nanoseconds since 1970."""

    start_ns: int
    end_ns: int

    @classmethod
    def before(cls, now_ns: int) -> Incident:
        """One that is over, and still near."""
        end_ns = now_ns - ENDED_S * SECOND_NS
        return cls(end_ns - LASTED_S * SECOND_NS, end_ns)

    def meets(self, end_ns: int) -> bool:
        """Whether the report runs all through a request that ends at a time."""
        return self.start_ns + LONGEST_S * SECOND_NS <= end_ns < self.end_ns

    def records(self, release: Release) -> list[LogRecord]:
        """What the job says of itself. Nobody asked for it by a request, so this is in no trace."""
        started = f"job {_JOB} started, charges of 90 days: {_WORKERS} workers with a connection each"
        finished = f"job {_JOB} finished in {LASTED_S} s: 412907 charges, {_WORKERS} connections given back"
        return [
            release.record(PAYMENT, self.start_ns, Severity.INFO, started, _OF_JOB),
            release.record(PAYMENT, self.end_ns, Severity.INFO, finished, _OF_JOB),
        ]
