"""The documents say what is true: commands exist, settings and errors are told, code runs."""

from __future__ import annotations

import ast
import os
import re
import runpy
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from minitrace import cli, config, errors
from minitrace.config import Config
from minitrace.otlp import decode
from minitrace.traceql.check import warnings
from minitrace.traceql.parser import parse
from tests.journeys.clients.cases import CLIENTS, Client

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SECURITY = (ROOT / "SECURITY.md").read_text()
DOCUMENTS = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md"))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("setting", [setting.name for setting in fields(Config)])
def test_the_readme_tells_every_setting(setting: str) -> None:
    assert f"| `--{setting.replace('_', '-')}` | `{config.variable(setting)}` |" in README


@pytest.mark.parametrize("code", blocks("python"))
def test_the_python_of_the_readme_runs(code: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_scripts_that_the_documents_name_can_be_run() -> None:
    named = {name for path in DOCUMENTS for name in re.findall(r"scripts/([a-z-]+)", path.read_text())}
    assert {"run", "test", "check", "fix"} <= named
    for name in named:
        assert os.access(ROOT / "scripts" / name, os.X_OK), name


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_the_table_of_clients_has_a_row_for_each_pinned_version(client: Client) -> None:
    row = f"| {client.toolchain.language} | {client.name} | {client.toolchain.version(client.package)} |"
    assert row in (ROOT / "docs" / "clients.md").read_text()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_to_files_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_the_tree_of_errors_names_every_error_under_its_parent() -> None:
    tree = errors.__doc__ or ""
    for name, error in vars(errors).items():
        if isinstance(error, type) and issubclass(error, errors.MinitraceError):
            assert name in tree
            assert error.__doc__


def test_the_exit_codes_that_errors_tell_are_those_of_the_command() -> None:
    told = dict(re.findall(r"(\w+) .*?exit (\d)", errors.__doc__ or ""))
    assert told == {"ConfigError": "2", "SchemaError": "6", "StoreDamaged": "5", "StoreError": "3", "StoreLocked": "4"}
    for code in (0, 2, *cli.EXIT_CODES.values()):
        assert f"| {code} |" in README
        assert re.search(rf"\b{code} ", cli.__doc__ or "")
    for error, code in cli.EXIT_CODES.items():
        assert told[error.__name__] == str(code)


def test_the_defaults_that_security_tells_are_the_codes() -> None:
    settings = Config()
    assert settings.is_local
    assert "64 MiB" in SECURITY
    assert settings.max_body_bytes == 64 * 1024 * 1024
    assert f"{decode.MAX_SPANS:,} spans".replace(",", " ") in SECURITY
    assert f"{decode.MAX_ATTRIBUTES:,} attributes".replace(",", " ") in SECURITY
    for flag in re.findall(r"`--([a-z-]+)", SECURITY):
        assert flag.replace("-", "_") in {setting.name for setting in fields(Config)}


def test_public_functions_and_classes_have_a_docstring() -> None:
    missing = []
    for path in sorted((ROOT / "minitrace").rglob("*.py")):
        tree = ast.parse(path.read_text())
        nodes: list[ast.AST] = [tree, *(node for node in tree.body if not getattr(node, "name", "_").startswith("_"))]
        for node in nodes:
            documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            if documented and not ast.get_docstring(node) and path.name != "__main__.py":  # type: ignore[arg-type]
                missing.append(f"{path.relative_to(ROOT)}: {getattr(node, 'name', 'module')}")
    assert missing == []


TRACEQL = (ROOT / "docs" / "traceql.md").read_text(encoding="utf-8")


def test_the_table_of_what_traceql_is_supported_is_that_of_the_corpus() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "traceql-table"))
    assert script["written"](TRACEQL) == TRACEQL


@pytest.mark.parametrize("cell", re.findall(r"^\| [^|]*[?] \| `(.*)` \|$", TRACEQL, re.MULTILINE))
def test_the_answers_of_the_traceql_page_are_queries(cell: str) -> None:
    query = cell.replace("\\|", "|")
    assert parse(query) == parse(str(parse(query)))
    assert warnings(parse(query)) == []
