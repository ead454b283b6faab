"""What is kept of tests that failed: their traces, as files that open without the tests.

```
.minitrace/
├── .gitignore                                    *
├── latest                                        failed/2026-11-22T13-41-05Z-4f2a91
└── failed/
    └── 2026-11-22T13-41-05Z-4f2a91/              a session of tests, with all of its workers
        ├── test_orders__test_list-1f3a9c2e.db    opens with `minitrace open`
        ├── test_orders__test_list-1f3a9c2e.html  opens in a browser
        └── 4711.lock                             a process that may write more
```

The last three sessions are kept, and at most 100 MB. A session that still goes on is left alone, and so is whatever
has another name than ours have.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from minitrace import model
from minitrace.errors import StoreLocked
from minitrace.store.growing_file import TEMPORARY, new_file
from minitrace.store.lock import Lock

MOST_SESSIONS = 3
MOST_BYTES = 100_000_000
MOST_PAGES = 3  # of one test
LONGEST_STEM = 120
FAILED, LATEST = "failed", "latest"
TEST_NAME = "test.case.name"  # of resources; OpenTelemetry's word
_DIGITS = 8  # of a hash
_FOLDED = re.compile(r"[^A-Za-z0-9_]+")
_SESSION = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ-\w+")
_OURS = re.compile(rf".+-[0-9a-f]{{{_DIGITS}}}(\.\d)?\.(db|html)|\d+\.lock")


def save(traces: Sequence[model.Trace] | Sequence[model.Span], path: Path) -> Path:
    """Write a file that minitrace opens, in place of what was there. It needs no event loop and no thread.

    Raises:
        StoreLocked: a minitrace has the file open that is there.
        StoreError, OSError: it cannot be written.
        ValueError: a span has ids or texts that OTLP cannot carry.
    """
    with new_file(path) as file:
        file.add([span for part in traces for span in (part.spans if isinstance(part, model.Trace) else [part])])
    return path


def save_html(trace: model.Trace, path: Path) -> Path:
    """Write a trace as a page that needs nothing but a browser. Raises OSError."""
    from minitrace.web.saved import standing_alone  # jinja and starlette, which a saved .db does without

    _put(path, standing_alone(trace, time.time_ns()))
    return path


def save_pages(traces: Sequence[model.Trace], path: Path) -> list[Path]:
    """Write a page for each of the first traces: those that failed, then the longest. The others are named name.2.html.

    Raises:
        OSError: one cannot be written.
    """
    telling = sorted(traces, key=lambda trace: (not trace.error_count, -trace.duration_ns))[:MOST_PAGES]
    names = [path, *(path.with_suffix(f".{number}{path.suffix}") for number in range(2, len(telling) + 1))]
    return [save_html(trace, name) for trace, name in zip(telling, names, strict=False)]


def file_stem(node_id: str) -> str:
    """The name of a test's files, without an ending: letters, digits, "_" and "-", 120 at most.

    ``tests/test_orders.py::test_list[a/b]`` is ``test_orders__test_list-a-b-`` and a hash of all of it: what is folded,
    cut or differs in case alone stays two files, on every file system.
    """
    digest = sha256(node_id.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    module, *names = node_id.split("::")
    readable = "__".join([module.rpartition("/")[2].removesuffix(".py"), *names])
    folded = _FOLDED.sub("-", readable)[: LONGEST_STEM - _DIGITS - 1].strip("-")
    return f"{folded or 'test'}-{digest}"


def session_name(started_ns: int, unique: str) -> str:
    """The name of a session's folder; `unique` is letters and digits. Later sessions sort behind."""
    return f"{datetime.fromtimestamp(started_ns // 10**9, UTC):%Y-%m-%dT%H-%M-%SZ}-{unique}"


def begin(root: Path, latest: str) -> None:
    """Make our folder, which git ignores, and say what `minitrace open` opens: `latest`, a file or a folder in it.

    Raises:
        OSError: it cannot be written.
    """
    root.mkdir(parents=True, exist_ok=True, mode=0o700)  # what tests send is nobody else's
    if not (root / ".gitignore").exists():
        _put(root / ".gitignore", ["*\n"])
    with suppress(PermissionError):  # Windows, where another worker puts the same there at this moment
        _put(root / LATEST, [f"{latest}\n"])


@dataclass(frozen=True, slots=True)
class Kept:
    """The files of one test; or why there are none, for people, said once by a `Folder`."""

    db: Path | None = None
    pages: tuple[Path, ...] = ()
    problem: str = ""


class Folder:
    """A folder for what failed in one session. Nothing is made before something is kept.

    Processes of one session, such as the workers of xdist, have a Folder each, of the same `root` and `session`.
    """

    def __init__(
        self, root: Path, session: str, *, most_sessions: int = MOST_SESSIONS, most_bytes: int = MOST_BYTES
    ) -> None:
        self.root = root.absolute()  # a test may change the directory
        self.session = self.root / FAILED / session
        self._most_sessions = most_sessions
        self._most_bytes = most_bytes
        self._lock: Lock | None = None
        self._is_problem_said = False

    def keep(self, node_id: str, traces: Sequence[model.Trace], *, has_pages: bool = False) -> Kept:
        """Save the traces of a test, with its name in their resources. Never raises: tests fail for other reasons."""
        kept = Kept()
        try:
            self._begin()
            named = [_of_test(trace, node_id) for trace in traces]
            kept = Kept(save(named, self.session / f"{file_stem(node_id)}.db"))
            if kept.db and has_pages:
                kept = replace(kept, pages=tuple(save_pages(named, kept.db.with_suffix(".html"))))
            return self._within_limits(kept)
        except Exception as error:
            return replace(kept, problem=self._once(_reason(error)))

    def close(self) -> None:
        """Say that this process writes no more."""
        if self._lock:
            self._lock.release()
            _lock_file(self.session).unlink(missing_ok=True)
            self._lock = None

    def _begin(self) -> None:
        if self._lock:
            return
        begin(self.root, f"{FAILED}/{self.session.name}")
        self.session.mkdir(parents=True, exist_ok=True)
        self._lock = Lock(_lock_file(self.session).with_suffix(""))

    def _within_limits(self, kept: Kept) -> Kept:
        """What was kept, if there is room for it when the oldest sessions have left."""
        sessions = _sessions(self.root)
        sizes = {session: sum(map(_size, _files(session))) for session in sessions}
        for session in sessions:
            is_too_much = len(sizes) > self._most_sessions or sum(sizes.values()) > self._most_bytes
            if is_too_much and session != self.session and not _goes_on(session):
                _remove(session)
                del sizes[session]
        if sum(sizes.values()) <= self._most_bytes:
            return kept
        for path in (kept.db, *kept.pages):
            if path:
                path.unlink(missing_ok=True)
        return Kept(problem=self._once(f"there are {self._most_bytes // 10**6} MB of this session already"))

    def _once(self, reason: str) -> str:
        """The problem, for people, unless one was told before."""
        if self._is_problem_said:
            return ""
        self._is_problem_said = True
        return f"traces of failed tests are not kept in {self.root}: {reason}"


def _of_test(trace: model.Trace, node_id: str) -> model.Trace:
    """The trace, whose spans say which test they are from: files of a session are looked at together."""
    name = node_id.encode(errors="replace").decode()  # a parameter may be half a surrogate pair
    named: dict[int, model.Resource] = {}
    for span in trace.spans:
        if id(span.resource) not in named:
            attributes = {**span.resource.attributes, TEST_NAME: name}
            named[id(span.resource)] = replace(span.resource, attributes=attributes)
    return model.Trace(trace.trace_id, [replace(span, resource=named[id(span.resource)]) for span in trace.spans])


def _lock_file(session: Path) -> Path:
    return session / f"{os.getpid()}.lock"


def _sessions(root: Path) -> list[Path]:
    """The folders of sessions, the oldest first."""
    return sorted(path for path in (root / FAILED).iterdir() if _SESSION.fullmatch(path.name) and path.is_dir())


def _files(session: Path) -> list[Path]:
    """What we wrote of a session; half a file of a process that was killed is a folder."""
    with suppress(FileNotFoundError):  # another process has removed it
        return [path for path in session.iterdir() if _OURS.fullmatch(path.name) or path.name.startswith(TEMPORARY)]
    return []


def _size(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def _goes_on(session: Path) -> bool:
    """Whether a process has the lock that it holds while it may write."""
    for path in session.glob("*.lock"):
        try:
            if lock := Lock.for_reading(path.with_suffix("")):
                lock.release()
        except StoreLocked:
            return True
    return False


def _remove(session: Path) -> None:
    for path in _files(session):
        with suppress(OSError):  # somebody looks at it, on Windows
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    with suppress(OSError):  # something else is in it
        session.rmdir()


def _put(path: Path, pieces: Iterable[str]) -> None:
    """Write a text file, which is there once it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=path.parent) as folder:
        partial = Path(folder) / "new"
        with partial.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
            file.writelines(pieces)
        partial.replace(path)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{(error.strerror or str(error)).lower()}. Name another folder with minitrace_dir"
    return str(error) or type(error).__name__
