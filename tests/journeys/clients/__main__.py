"""Run all clients and write what became of them into docs/clients.md: ``scripts/try-clients``."""

from __future__ import annotations

import os
import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.journeys.clients.cases import CLIENTS, PROTOCOLS, Case, Client

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "clients.md"
TABLE = re.compile(r"(<!-- made by scripts/try-clients -->\n).*(<!-- end -->)", re.DOTALL)
PASSED, FAILED, NOT_RUN = "✓", "fails", "not run"
WORST_FIRST = (FAILED, NOT_RUN, PASSED)


class Results:
    """A pytest plugin that remembers what became of each case."""

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        self._cases: dict[str, Case] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Function]) -> None:
        """Which test is which case."""
        for item in items:
            case = item.callspec.params["case"] if hasattr(item, "callspec") else None
            if isinstance(case, Case):
                self._cases[item.nodeid] = case

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test has run, or skipped itself."""
        case = self._cases.get(report.nodeid)
        if case and report.when == "call":
            said = {"passed": PASSED, "failed": FAILED, "skipped": NOT_RUN}[report.outcome]
            self.outcomes[case.client.toolchain.language, case.client.name, case.protocol].add(said)

    def cell(self, client: Client, protocol: str) -> str:
        """The worst that became of its cases; empty if none ran."""
        outcomes = self.outcomes[client.toolchain.language, client.name, protocol]
        return next((said for said in WORST_FIRST if said in outcomes), "")


def row(*cells: str) -> str:
    """A line of a table in Markdown."""
    return "| " + " | ".join(cells) + " |"


def table(results: Results, document: str) -> str:
    """A row for each client. Its cells are as they were where nothing ran."""
    rows = [row("", "client", "version", *PROTOCOLS), "|---" * (3 + len(PROTOCOLS)) + "|"]
    for client in CLIENTS:
        start = (client.toolchain.language, client.name, client.toolchain.version(client.package))
        before = cells_before(document, row(*start)) or [NOT_RUN] * len(PROTOCOLS)
        now = [results.cell(client, protocol) for protocol in PROTOCOLS]
        cells = zip(PROTOCOLS, now, before, strict=True)
        rows.append(row(*start, *((new or old) if name in client.protocols else "" for name, new, old in cells)))
    return "\n".join(rows) + "\n"


def cells_before(document: str, start: str) -> list[str]:
    """What the document says of a client's protocols; nothing if it has no such row."""
    lines = (line for line in document.splitlines() if line.startswith(start))
    return [cell.strip() for line in lines for cell in line.removeprefix(start).removesuffix("|").split("|")]


def main() -> int:
    """Exits as pytest does: not 0 if a case failed."""
    os.environ["MINITRACE_CLIENTS"] = "all"
    results = Results()
    tests = ROOT / "tests" / "journeys" / "test_clients.py"
    code = pytest.main(["-q", "--rootdir", str(ROOT), str(tests), *sys.argv[1:]], plugins=[results])
    document = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(
        TABLE.sub(lambda found: f"{found[1]}\n{table(results, document)}\n{found[2]}", document), encoding="utf-8"
    )
    return code


if __name__ == "__main__":
    sys.exit(main())
