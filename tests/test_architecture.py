"""Imports go down only, and the shape of the code is what ARCHITECTURE.md says."""

from __future__ import annotations

import ast
from pathlib import Path

import minitrace

ROOT = Path(minitrace.__file__).parent
# Each may import those below it and itself; what stands on one line does not know of each other.
LAYERS = [
    {"__main__"},
    {"cli", "pytest_plugin"},
    {"testing"},
    {"asking"},
    {"server"},
    {"http2", "sockets"},
    {"web"},
    {"store", "live", "demo", "formats"},
    {"otlp", "traceql", "analysis"},
    {"present"},
    {"model"},
    {"config", "pytest_settings"},
    {"durations", "sizes", "git"},
    {"errors"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
MODULES = sorted(path for path in ROOT.rglob("*.py") if "proto" not in path.parts)


def part(module: str) -> str:
    """The layer's name of ``minitrace.store.plan``: store."""
    return module.split(".")[1] if "." in module else ""


def imports(path: Path) -> set[str]:
    """The parts of minitrace that a file imports, at its top or anywhere."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {part(alias.name) for alias in node.names if alias.name.startswith("minitrace.")}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            if node.module == "minitrace":
                found |= {alias.name for alias in node.names}
            elif node.module.startswith("minitrace."):
                found.add(part(node.module))
    return found & LEVEL.keys()


def owner(path: Path) -> str:
    """The part that a file belongs to."""
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def upward(path: Path) -> set[str]:
    own = LEVEL[owner(path)]
    return {name for name in imports(path) if LEVEL[name] < own or (LEVEL[name] == own and name != owner(path))}


def test_every_module_has_a_layer() -> None:
    owners = {owner(path) for path in MODULES} - {"__init__"}
    assert owners <= LEVEL.keys()


def test_imports_go_down_only() -> None:
    wrong = {str(path.relative_to(ROOT)): upward(path) for path in MODULES if owner(path) != "__init__"}
    assert {path: names for path, names in wrong.items() if names} == {}


def test_this_test_would_see_an_import_that_goes_up(tmp_path: Path) -> None:
    sample = tmp_path / "model.py"
    sample.write_text(
        "from minitrace import present\nfrom minitrace.store.store import Store\nimport minitrace.errors\n"
    )
    assert imports(sample) == {"present", "store", "errors"}


def test_the_store_knows_no_http_and_the_web_no_sql() -> None:
    for path in MODULES:
        text = path.read_text()
        if owner(path) == "store":
            assert "starlette" not in text, path
        if owner(path) == "web":
            assert "sqlite" not in text.lower(), path


def test_the_front_door_opens_lazily() -> None:
    assert all(hasattr(minitrace, name) for name in minitrace.__all__)
    top = ast.parse((ROOT / "__init__.py").read_text()).body
    assert not any(isinstance(node, ast.Import | ast.ImportFrom) and "minitrace" in ast.dump(node) for node in top)


def test_except_exception_stands_only_at_the_rims() -> None:
    rims = {
        "http2/stream.py",
        "web/intake.py",
        "web/uploads.py",  # an import goes on behind its page
        "store/ingest.py",
        "store/upkeep.py",
        "testing/keeping.py",
        "testing/hub.py",
        "testing/mistakes.py",
    }
    found = {
        str(path.relative_to(ROOT))
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id == "Exception"))
    }
    assert found <= rims
