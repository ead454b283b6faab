"""What 10 000 names of operations, or 10 000 services, cost beside twenty: ingest, and every page that lists them.

    python benchmarks/many.py [--spans N] [--rounds N]

Two stores in this process take the same requests in turn, some at a time, which differ in nothing but the names: both
see the same machine, whatever else it does. It is done three times: with names that all services have, which are
200 000 operations; with names that one service has each; and with services, each with a resource of its own. For these
both stores get requests with a resource for every eight spans: that so many of them are larger is the client's affair.

Then the pages are asked of the files with many. Targets: a tenth more, and a second; no page may grow with the names.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

import httpx
from corpus import SERVICES, START_NS, Corpus
from measuring import machine, print_table, verdict

from minitrace import present
from minitrace.config import Config
from minitrace.otlp import messages
from minitrace.store.store import Store
from minitrace.web.app import create_app

FEW, MANY = 20, 10_000
STRIDE = 7_919  # prime: neighbours are no neighbours in an index
GROUP = 8  # spans of a service that come together
AT_ONCE = 16  # requests that wait together
MORE, PAGE_S = 0.10, 1.0  # targets
HOUR_NS = 3600 * 10**9

Change = Callable[[Iterable[bytes], int], Iterator[bytes]]


def with_names(bodies: Iterable[bytes], number: int) -> Iterator[bytes]:
    """Requests with so many names of spans, all of which all services have."""
    numbers = count()
    for body in bodies:
        request = messages.ExportTraceServiceRequest.FromString(body)
        for _, span in _spans(request):
            span.name = f"GET /user/{next(numbers) * STRIDE % number:05}"
        yield request.SerializeToString()


def with_operations(bodies: Iterable[bytes], number: int) -> Iterator[bytes]:
    """Requests with so many names of spans, each of which one service has."""
    numbers = count()
    for body in bodies:
        request = messages.ExportTraceServiceRequest.FromString(body)
        for service, span in _spans(request):
            of_service = next(numbers) * STRIDE % (number // len(SERVICES))
            span.name = f"GET /user/{of_service * len(SERVICES) + SERVICES.index(service):05}"
        yield request.SerializeToString()


def with_services(bodies: Iterable[bytes], number: int) -> Iterator[bytes]:
    """Requests with another service for every eight spans, out of so many."""
    numbers = count()
    for body in bodies:
        request = messages.ExportTraceServiceRequest.FromString(body)
        made = messages.ExportTraceServiceRequest()
        for resource_spans in request.resource_spans:
            for scope_spans in resource_spans.scope_spans:
                for first in range(0, len(scope_spans.spans), GROUP):
                    group = made.resource_spans.add()
                    name = group.resource.attributes.add(key="service.name")
                    name.value.string_value = f"service {next(numbers) * STRIDE % number:05}"
                    group.resource.attributes.extend(resource_spans.resource.attributes[3:5])  # not who, but where
                    group.scope_spans.add(scope=scope_spans.scope, spans=scope_spans.spans[first : first + GROUP])
        yield made.SerializeToString()


def _spans(request: Any) -> Iterator[tuple[str, Any]]:
    """The spans of a request, each with its service."""
    for resource_spans in request.resource_spans:
        service = resource_spans.resource.attributes[0].value.string_value
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                yield service, span


SORTS: dict[str, Change] = {
    "names that all services have": with_names,
    "names that one service has each": with_operations,
    "services": with_services,
}


async def compare(few: list[bytes], many: list[bytes], folder: Path) -> tuple[float, float, float]:
    """Processor time a span of the stores with few and with many, and the median of the ratios of parts."""
    took: list[list[float]] = []
    stored = 0
    async with await Store.open(folder / "few.db") as one, await Store.open(folder / "many.db") as other:
        await one._upkeep.lock.acquire()  # no upkeep meanwhile: nobody could say whose it is
        await other._upkeep.lock.acquire()
        for first in range(0, len(few), AT_ONCE):
            part = [(0, one, few[first : first + AT_ONCE]), (1, other, many[first : first + AT_ONCE])]
            times = [0.0, 0.0]
            for place, store, bodies in part if len(took) % 2 else reversed(part):
                began = time.process_time()
                done = await asyncio.gather(*(store.ingest(body, is_json=False) for body in bodies))
                times[place] = time.process_time() - began
            stored += sum(batch.added for batch in done)
            took.append(times)
        one._upkeep.lock.release()
        other._upkeep.lock.release()
    few_us, many_us = (sum(column) / stored * 1e6 for column in zip(*took, strict=True))
    return few_us, many_us, median(after / before for before, after in took)


async def pages(db: Path) -> list[tuple[str, float, float, int]]:
    """The pages that list names: what they are about, seconds the first time and the next, bytes."""
    hour = f"from={present.iso(START_NS)}&to={present.iso(START_NS + HOUR_NS)}"
    async with await Store.open(db, query_timeout_s=10) as store:
        await store.roll_up()
        services = await store.services()
        service = quote(services[0])
        paths = {
            "services": f"/red?{hour}",
            "a service": f"/red?{hour}&service={service}",
            "map": f"/map?{hour}",
            "map, as tables": f"/map?{hour}&view=table",
            "a service on the map": f"/map?{hour}&focus={service}",
            "search": f"/search?{hour}",
            "search of a service": f"/search?{hour}&q=" + quote(f'{{ resource.service.name = "{services[0]}" }}'),
            "search, by service": f"/search?{hour}&q=" + quote("{ kind = client }") + "&group=resource.service.name",
            "completion of a service": "/_/complete?pos=28&q=" + quote('{ resource.service.name = "s'),
            "completion of a name": "/_/complete?pos=10&q=" + quote('{ name = "'),
            "logs": "/logs",
            "Jaeger's services": "/api/services",
            "Jaeger's operations": f"/api/services/{service}/operations",
            "Tempo's values": "/api/v2/search/tag/resource.service.name/values",
        }
        transport = httpx.ASGITransport(create_app(Config(), store=store))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:4318", timeout=60) as client:
            found = []
            for name, path in paths.items():
                first, answer = await _asked(client, path)
                while "counted so far" in answer.text:  # the map; each time it gets further
                    _, answer = await _asked(client, path)
                again, answer = await _asked(client, path)
                found.append((name, first, again, len(answer.content)))
            return found


async def _asked(client: httpx.AsyncClient, path: str) -> tuple[float, httpx.Response]:
    began = time.perf_counter()
    answer = await client.get(path)
    took_s = time.perf_counter() - began
    answer.raise_for_status()
    return took_s, answer


def main() -> None:
    """Print what storing costs, and how long the pages take."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spans", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3, help="of each comparison; the median counts")
    options = parser.parse_args()
    print(machine())
    gc.freeze()
    gc.set_threshold(*gc.get_threshold()[:2], 1_000_000_000)  # as in the server, see its _collect_garbage
    usual = [body for body, _ in Corpus().requests(options.spans)]
    stored, listed = [], []
    for name, change in SORTS.items():
        few, many = list(change(usual, FEW)), list(change(usual, MANY))
        rounds = []
        for number in range(options.rounds):
            with tempfile.TemporaryDirectory(prefix="minitrace-benchmark-") as folder:
                rounds.append(asyncio.run(compare(few, many, Path(folder))))
                if not number:
                    listed.append((name, asyncio.run(pages(Path(folder) / "many.db"))))
        few_us, many_us, of_parts = (median(column) for column in zip(*rounds, strict=True))
        more = median(one[1] / one[0] for one in rounds) - 1
        stored.append(
            (name, f"{few_us:.1f}", f"{many_us:.1f}", f"{more:+.1%}", f"{of_parts - 1:+.1%}", verdict(more <= MORE))
        )
    print_table(
        ["stored, CPU µs a span", f"{FEW}", f"{MANY:,}", "more", "of parts, median", f"at most {MORE:.0%}"], stored
    )
    for name, found in listed:
        print_table(
            [f"{MANY:,} {name}", "first, ms", "again, ms", "kB", f"at most {PAGE_S:.0f} s"],
            [
                (page, f"{first * 1e3:.0f}", f"{again * 1e3:.0f}", f"{size / 1e3:.0f}", verdict(first <= PAGE_S))
                for page, first, again, size in found
            ],
        )


if __name__ == "__main__":
    main()
