"""A command as a child process: the variables that it gets, the signals, its exit code."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import PurePath

from minitrace.asking.server import authorization
from minitrace.store.runs import RUN_ID

NOT_FOUND, NOT_ALLOWED = 127, 126  # as shells say it
DELAY_MS = "500"
# Each would win over what is set for all signals.
_OF_TRACES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
_INTERPRETERS = ("python", "node", "ruby", "php", "perl", "sh", "bash")
_FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
_OF_TERMINAL = ("SIGINT", "SIGQUIT")  # it sends them to every process in the foreground


def environment(
    environ: Mapping[str, str], command: Sequence[str], run_id: str, url: str, token: str
) -> dict[str, str]:
    """The variables of a command whose spans are to come to `url`, named by its run. What is there is kept."""
    child = {name: text for name, text in environ.items() if name not in _OF_TRACES}
    attributes = [
        pair
        for pair in child.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")
        if pair and not pair.startswith(f"{RUN_ID}=")
    ]
    child |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_RESOURCE_ATTRIBUTES": ",".join([*attributes, f"{RUN_ID}={run_id}"]),
        "MINITRACE_RUN_ID": run_id,
        "MINITRACE_URL": url,
    }
    child.setdefault("OTEL_BSP_SCHEDULE_DELAY", DELAY_MS)
    if not any(pair.startswith("service.name=") for pair in attributes):
        child.setdefault("OTEL_SERVICE_NAME", service_name(command))
    if token:
        headers = [child["OTEL_EXPORTER_OTLP_HEADERS"]] if child.get("OTEL_EXPORTER_OTLP_HEADERS") else []
        child["OTEL_EXPORTER_OTLP_HEADERS"] = ",".join([*headers, authorization(token)])
        child["MINITRACE_TOKEN"] = token
    return child


def service_name(command: Sequence[str]) -> str:
    """What to call a service that has no name: its program, or the script that an interpreter is to run."""
    name = PurePath(command[0]).stem
    if name.rstrip("0123456789.").lower() in _INTERPRETERS:
        scripts = [word for word in command[1:] if not word.startswith("-")]
        name = PurePath(scripts[0]).stem if scripts else name
    return name or command[0]


def run(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a command to its end; its exit code, or 128 and the number of the signal that ended it.

    Raises:
        OSError: it could not be started.
    """
    with _forwarding() as started:
        process = subprocess.Popen(command, env=dict(environ))  # noqa: S603 (what the user typed)
        started.append(process)
        code = process.wait()
    return code if code >= 0 else 128 - code


@contextmanager
def _forwarding() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Send the signals that come to us on to the process in the list; ours is to wait for its end."""
    started: list[subprocess.Popen[bytes]] = []
    comes_by_itself = _OF_TERMINAL if _is_in_foreground() else ()

    def forward(number: int, _: object) -> None:
        if signal.Signals(number).name not in comes_by_itself:
            for process in started:
                with suppress(ProcessLookupError):
                    process.send_signal(number)

    numbers = [getattr(signal, name) for name in _FORWARDED if hasattr(signal, name)]
    before = {number: signal.signal(number, forward) for number in numbers}
    try:
        yield started
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_in_foreground() -> bool:
    """Whether the terminal sends its Ctrl-C to us, and so to the command too."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY)
    except (OSError, AttributeError):
        return os.name == "nt"  # a console's Ctrl-C goes to all its processes
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
