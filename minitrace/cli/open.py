"""`minitrace open`: files, shown by a server of their own that ends with the command."""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
import webbrowser
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlencode

from minitrace.asking.file import File
from minitrace.asking.gathering import begins, gather
from minitrace.cli import asked
from minitrace.config import Config
from minitrace.errors import ConfigError
from minitrace.server import Listening, serve
from minitrace.testing import keeping
from minitrace.testing.keeping import LATEST

DEFAULT = ".minitrace"
STDIN = Path("-")
TEST_NAME = f"resource.{keeping.TEST_NAME}"
COLUMNS = f"started,trace,duration,spans,errors,{TEST_NAME}"  # where tests failed
PATTERNS = ("*.db", "*.json", "*.jsonl", "*.ndjson", "*.json.gz", "*.jsonl.gz")


def run(parsed: Namespace) -> int:
    """Show files until told to stop; a page that stands alone is only opened. Returns the exit code."""
    files = [file for name in parsed.files or [DEFAULT] for file in meant(Path(name))]
    pages = [file for file in files if file != STDIN and begins(file, b"<")]
    for page in pages:
        _show(page.absolute().as_uri(), parsed, webbrowser.open)
    if traces := [file for file in files if file not in pages]:
        with tempfile.TemporaryDirectory(prefix="minitrace-") as folder:
            names = {_spooled(file, Path(folder)): "standard input" if file == STDIN else str(file) for file in traces}
            copy = Path(folder) / "copy.db"
            gather(list(names), copy, asked.note, name_of=names.__getitem__)
            _serve(copy, list(names.values()), parsed)
    return 0


def _spooled(file: Path, folder: Path) -> Path:
    """A file as one that can be read twice: for standard input, a file of all that comes."""
    if file != STDIN:
        return file
    spooled = folder / "stdin"
    with spooled.open("wb") as target:
        shutil.copyfileobj(sys.stdin.buffer, target)
    return spooled


def meant(path: Path) -> Sequence[Path]:
    """The files that a name stands for: a folder for those in it, a project for its last session of tests; "-" for "-".

    Raises:
        ConfigError: there are none.
    """
    if path == STDIN:
        return [path]
    for folder in (path, path / DEFAULT):
        if (latest := folder / LATEST).is_file():
            path = folder / latest.read_text(encoding="utf-8").strip()
            break
    if path.is_dir():
        if files := sorted(file for pattern in PATTERNS for file in path.glob(pattern)):
            return files
        raise ConfigError(f"no file with traces is in {path}: name one that ends in .db, .html, .json or .jsonl")
    if path.exists():
        return [path]
    if path == Path(DEFAULT):
        raise ConfigError(f"no test has left traces here, as there is no {DEFAULT}. Name a file")
    raise ConfigError(f"there is no {path}. Name a file, or a folder with some")


def _serve(copy: Path, names: Sequence[str], parsed: Namespace) -> None:
    """Serve a file of ours to this machine, until told to stop."""
    path = _path(copy, names)

    def on_ready(listening: Listening) -> None:
        _show(f"{listening.url}{path}", parsed, _open_beside)
        print("Ctrl-C ends it.", flush=True)

    serve(Config(port=parsed.port, grpc_port=0, db=str(copy), max_size="0"), on_ready)


def _path(copy: Path, names: Sequence[str]) -> str:
    """Where to begin: at the trace, if there is one alone; at log records without any. Raises ConfigError."""
    file = File(copy)
    try:
        traces = file.search({"limit": "2"}).traces
        has_logs = not traces and file.logs({"limit": "1"}).records
        has_tests = file.search({"limit": "1", "q": f"{{ {TEST_NAME} != nil }}"}).traces
    finally:
        file.close()
    if has_logs:
        return "/logs"
    if not traces:
        raise ConfigError(f"there is no trace and no log record in {', '.join(names)}")
    if len(traces) == 1:
        return f"/trace/{traces[0].trace_id.hex()}"
    return f"/search?{urlencode({'cols': COLUMNS})}" if has_tests else "/search"


def _show(url: str, parsed: Namespace, open_: Callable[[str], object]) -> None:
    print(url, flush=True)
    if not parsed.no_browser:
        open_(url)


def _open_beside(url: str) -> None:
    """Open a browser while we serve it: some commands return when the browser is closed."""
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
