"""Two services in one process that leave nothing out of a span; prints the id of their trace.

    python checkout.py EXPORTER_MODULE

The exporter is the module's `OTLPSpanExporter`, set up by the usual variables.
"""

from __future__ import annotations

import importlib
import sys

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags

EARLIER_TRY = SpanContext(
    trace_id=0x4BF92F3577B34DA6A3CE929D0E0E4736,
    span_id=0x00F067AA0BA902B7,
    is_remote=True,
    trace_flags=TraceFlags(TraceFlags.SAMPLED),
)


def service(name: str) -> TracerProvider:
    """A service that exports as it would in production."""
    provider = TracerProvider(resource=Resource.create({"service.name": name, "host.cpus": 2}))
    exporter = importlib.import_module(sys.argv[1]).OTLPSpanExporter()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def main() -> None:
    """One order, whose card is declined."""
    shop, bank = service("shop"), service("bank")
    shop_tracer = shop.get_tracer("shop.checkout", "1.2.3", attributes={"team": "cart"})
    bank_tracer = bank.get_tracer("bank.cards", "4.5.6")

    with shop_tracer.start_as_current_span("POST /checkout", kind=SpanKind.SERVER) as checkout:
        checkout.set_attributes(
            {
                "text": "naïve \U0001f6d2",
                "yes": True,
                "no": False,
                "largest": 2**63 - 1,
                "smallest": -(2**63),
                "ratio": 0.1,
                "endless": float("inf"),
                "texts": ["a", ""],
                "numbers": [1, 2**53 + 1],
                "ratios": [0.5, 1e300],
                "none": [],
                "bytes": b"\x00\xff",
                "map": {"inner": {"deep": [1, "two", None]}},
            }
        )
        checkout.add_event("cart.locked", {"items": 3}, timestamp=1_700_000_000_000_000_001)
        with (
            shop_tracer.start_as_current_span("charge", kind=SpanKind.CLIENT),
            bank_tracer.start_as_current_span(
                "authorize", kind=SpanKind.SERVER, links=[Link(EARLIER_TRY, {"why": "retry"})]
            ) as authorize,
        ):
            try:
                raise PermissionError("card 4242 declined")
            except PermissionError as error:
                authorize.record_exception(error)
                authorize.set_status(StatusCode.ERROR, "declined")

    print(f"{checkout.get_span_context().trace_id:032x}", flush=True)
    shop.shutdown()
    bank.shutdown()


if __name__ == "__main__":
    main()
