"""What is vendored is what VENDOR.toml pins, byte for byte, and the descriptors are made from it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = tomllib.loads((ROOT / "VENDOR.toml").read_text())["package"]
FILES = [(file["to"], file["sha256"]) for package in PACKAGES for file in package["files"]]


@pytest.mark.parametrize(("path", "sha256"), FILES)
def test_a_vendored_file_is_the_one_that_is_pinned(path: str, sha256: str) -> None:
    assert hashlib.sha256((ROOT / path).read_bytes()).hexdigest() == sha256


def test_every_vendored_package_names_its_licence() -> None:
    assert {package["licence"] for package in PACKAGES} == {"0BSD", "Apache-2.0"}


def test_the_descriptors_are_those_of_the_vendored_proto_files(tmp_path: Path) -> None:
    folder = ROOT / "minitrace/otlp/proto"
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.proto"))
    out = tmp_path / "otlp.binpb"
    options = ["-I.", "--include_imports", f"--descriptor_set_out={out}"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *options, *files], cwd=folder, check=True)
    assert out.read_bytes() == (folder / "otlp.binpb").read_bytes()
