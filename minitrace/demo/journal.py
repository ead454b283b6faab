"""What the shop's services log outside of requests, so in no trace: how they start, what a clock makes them do."""

from __future__ import annotations

from minitrace.demo.incident import POOL_SIZE, SECOND_NS, Incident
from minitrace.demo.services import (
    CART,
    CATALOG,
    CHECKOUT,
    EMAIL,
    FRONTEND,
    FULFILMENT,
    INVENTORY,
    PAYMENT,
    RECOMMENDATION,
    SHIPPING,
    Release,
    Service,
)
from minitrace.model import LogRecord, Severity

SERVICES = (PAYMENT, INVENTORY, CATALOG, CART, RECOMMENDATION, SHIPPING, CHECKOUT, EMAIL, FULFILMENT, FRONTEND)
_WITH_POOL = (PAYMENT, INVENTORY, CATALOG, CHECKOUT)
_CONSUMERS = (EMAIL, FULFILMENT)
_MS = 1_000_000
_SCHEDULE_NS = 5 * 60 * SECOND_NS


def journal(release: Release, start_ns: int, end_ns: int, incident: Incident) -> list[LogRecord]:
    """All of it between two times, in order: the shop is started at the first one."""
    found = [record for place, service in enumerate(SERVICES) for record in _start(release, service, start_ns, place)]
    first_ns = -(-start_ns // _SCHEDULE_NS) * _SCHEDULE_NS
    found += [_due(release, time_ns) for time_ns in range(first_ns, end_ns, _SCHEDULE_NS)]
    found += incident.records(release)
    return sorted(found, key=lambda record: record.time_ns)


def _start(release: Release, service: Service, start_ns: int, place: int) -> list[LogRecord]:
    """One service after the other."""
    name, version = service.language.runtime
    own = release.resource(service).attributes["service.version"]
    lines = [f"{service.name} {own!s} starting on {name} {version}"]
    if service in _WITH_POOL:
        lines.append(f"connected to {service.database}.{service.name}.internal, a pool of {POOL_SIZE} connections")
    lines.append("waiting for order.created" if service in _CONSUMERS else f"listening on port {service.port}")
    began_ns = start_ns + place * 40 * _MS
    return [release.record(service, began_ns + n * 90 * _MS, Severity.INFO, line) for n, line in enumerate(lines)]


def _due(release: Release, time_ns: int) -> LogRecord:
    return release.record(FULFILMENT, time_ns, Severity.INFO, "scheduler: job reconcile-stock is due (*/5 * * * *)")
