"""A page of another origin that makes the trace in Chromium; prints its id. What the console says goes to stderr.

python page.py CHROMIUM BUNDLE EXPORTER ADDRESS
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from playwright.sync_api import sync_playwright


class Shop(BaseHTTPRequestHandler):
    """A web server with one page."""

    def do_GET(self) -> None:
        """The page."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>shop</title><link rel=icon href=data:,>")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def origin() -> Iterator[str]:
    """The address of a server that runs; Chromium lets no page ask this machine that did not come from a real one."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Shop) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


def main(chromium: str, bundle: str, exporter: str, address: str) -> None:
    """Open the page and let it send."""
    with sync_playwright() as playwright, origin() as url:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-quic"])
        page = browser.new_page()
        page.on("console", lambda message: print(message.text, file=sys.stderr))
        page.on("pageerror", lambda error: print(error, file=sys.stderr))
        page.goto(url)
        page.add_script_tag(path=bundle)
        print(page.evaluate("(options) => send(options)", [exporter, address, os.environ["OTEL_SERVICE_NAME"]]))
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
