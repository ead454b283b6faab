"""Programs in processes of their own: started, awaited by what they print, stopped by a signal.

`Server` is a real ``python -m minitrace serve``:

```python
with Server(tmp_path / "traces.db") as server:
    httpx.get(server.url + "/readyz")
assert server.exit_code == 0
```
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

START_S = 30  # Node with its instrumentations needs 2 s alone, and the tests may share two cores
STOP_S = 15
STEP_S = 0.02  # between two looks at a condition

T = TypeVar("T")


def until(condition: Callable[[], T | None], timeout_s: float = 15) -> T:
    """What `condition` returns, as soon as that is true.

    Raises:
        TimeoutError: it did not become true in time; says what it was at last.
    """
    deadline = time.monotonic() + timeout_s
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still {result!r} after {timeout_s} s")
        time.sleep(STEP_S)
    return result


class Program:
    """A process whose stdout is read on demand and whose stderr is kept.

    Used as a context it is stopped at the end, if it still runs. Variables of ours and of OpenTelemetry
    are not inherited: only what `env` says counts. It reads `stdin`, or nothing.
    """

    def __init__(
        self,
        *command: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: Path = Path(os.devnull),
    ) -> None:
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(("MINITRACE_", "OTEL_"))}
        with stdin.open("rb") as content:
            self._process = subprocess.Popen(
                command,
                env={**inherited, **(env or {})},
                cwd=cwd,
                stdin=content,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
            )
        assert self._process.stdout
        self._stdout = self._process.stdout
        self._stderr: list[str] = []
        self._collector = threading.Thread(target=self._collect_stderr, daemon=True)
        self._collector.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.exit_code is None:
            self.stop()
        else:
            self.wait()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def stderr(self) -> str:
        """What it wrote to stderr, up to now; all of it once it has ended."""
        return "".join(self._stderr)

    @property
    def exit_code(self) -> int | None:
        """What it exited with, the negative number of the signal that killed it, or None while it runs."""
        return self._process.poll()

    def read_until(self, start: str, timeout_s: float = START_S) -> list[str]:
        """The lines on stdout up to the first one that starts so.

        Raises:
            AssertionError: stdout ended without it, or it took too long; says what was printed.
        """
        lines = []
        with self._killed_after(timeout_s):
            for line in self._stdout:
                lines.append(line.rstrip("\n"))
                if line.startswith(start):
                    return lines
        self.wait()
        said = "\n".join(lines)
        raise AssertionError(f"no line {start!r}: exit code {self.exit_code}\n{said}\n{self.stderr}")

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = STOP_S) -> int:
        """Send a signal and `wait`."""
        self._process.send_signal(number)
        return self.wait(timeout_s)

    def wait(self, timeout_s: float = STOP_S) -> int:
        """The exit code, once it has ended.

        Raises:
            AssertionError: it still ran after the time; it is killed.
        """
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"still ran after {timeout_s} s\n{self.stderr}") from None
        finally:
            self._collector.join()
            self._stdout.close()
        return self._process.returncode

    def _collect_stderr(self) -> None:
        assert self._process.stderr
        with self._process.stderr as lines:
            for line in lines:
                self._stderr.append(line)

    @contextmanager
    def _killed_after(self, timeout_s: float) -> Iterator[None]:
        timer = threading.Timer(timeout_s, self._process.kill)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


class Server(Program):
    """A real minitrace on a free port, ready to be asked."""

    def __init__(self, db: Path | str, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        serve = (sys.executable, "-m", "minitrace", "serve", "--port", "0", "--db", str(db), *arguments)
        super().__init__(*serve, env=env)
        self._greeting = self.read_until("Ctrl-C stops it.")

    @property
    def greeting(self) -> str:
        """All that it said when it was ready."""
        return "\n".join(self._greeting)

    @property
    def url(self) -> str:
        """The address that SDKs send to."""
        return self._greeted("export OTEL_EXPORTER_OTLP_ENDPOINT=")

    @property
    def ui_url(self) -> str:
        """The address to open; with the token, if there is one."""
        return self._greeted("open ")

    @property
    def port(self) -> int:
        """The port."""
        return int(self.url.rpartition(":")[2])

    @property
    def path(self) -> Path:
        """The database file."""
        return Path(self._greeted("stored in ").removesuffix(" (temporary: removed at exit)"))

    def _greeted(self, label: str) -> str:
        return next(line.partition(label)[2].strip() for line in self._greeting if label in line)
