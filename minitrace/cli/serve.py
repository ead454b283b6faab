"""`minitrace serve`, and `minitrace` without a command."""

from __future__ import annotations

import os
import signal
import sys
import threading
from argparse import Namespace
from urllib.parse import quote

from minitrace import __version__, config, demo, errors
from minitrace.server import Listening, serve


def run(parsed: Namespace) -> int:
    """Serve until told to stop."""
    settings = config.read(parsed)
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def on_ready(listening: Listening) -> None:
        print(_greeting(listening), flush=True)
        if parsed.end_with_input:
            threading.Thread(target=_end_with_input, daemon=True).start()
        if parsed.demo:
            threads.append(threading.Thread(target=_send_demo, args=(parsed, listening.url, listening.token, stop)))
            threads[0].start()

    try:
        serve(settings, on_ready)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    return 0


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _greeting(listening: Listening) -> str:
    kept = " (temporary: removed at exit)" if listening.is_temporary else ""
    lines = [
        f"minitrace {__version__} is ready",
        "",
        f"  open      {listening.ui_url}",
        f"  send to   export OTEL_EXPORTER_OTLP_ENDPOINT={listening.url}",
        "            export OTEL_BSP_SCHEDULE_DELAY=500   # optional: spans come at once, not after 5 s",
    ]
    if listening.token:
        token = quote(listening.token, safe="") if listening.is_token_new else "TOKEN"
        header = f"Authorization=Bearer%20{token}"
        lines.append(f'            export OTEL_EXPORTER_OTLP_HEADERS="{header}"')
    if listening.more_urls:
        lines.append(f"  also at   {', '.join(listening.more_urls)}")
    if listening.remark:
        lines.append(f"            {listening.remark}")
    return "\n".join([*lines, f"  stored in {listening.path}{kept}", "", "Ctrl-C stops it."])


def _send_demo(parsed: Namespace, url: str, token: str, stop: threading.Event) -> None:
    try:
        demo.send(
            url,
            count=parsed.count,
            rate=parsed.rate,
            backfill=parsed.backfill,
            token=token,
            stop=stop,
            report=lambda line: None,  # the pages show it; where payments were slow is announced
        )
    except errors.MinitraceError as error:
        if not stop.is_set():
            print(f"minitrace: {error}", file=sys.stderr)
