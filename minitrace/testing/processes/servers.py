"""The OTLP endpoint for a server that many tests share: it is not one test's, so the spans say whose they are."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from minitrace.testing.processes import environment, receiver

NOBODY = "shared"  # in place of a token: spans go by their trace id, which is that of a test's `headers`


@dataclass(frozen=True, slots=True)
class Server:
    """`endpoint` is ``http://127.0.0.1:PORT``; `env` a whole environment, for ``subprocess.Popen(env=…)``."""

    endpoint: str
    env: dict[str, str] = field(repr=False)


def shared(bsp_delay_ms: int) -> Server:
    """The endpoint of this process, which is started if it was not yet."""
    endpoint = receiver.endpoint()
    return Server(endpoint, environment.complete(endpoint, NOBODY, os.environ, bsp_delay_ms=bsp_delay_ms))
