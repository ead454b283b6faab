"""Children of multiprocessing that begin anew, by spawn or forkserver, and capture like forked ones.

Such a child knows of no provider that its parent set up, and would trace nothing. multiprocessing pickles the
configuration of a process for each child; an object in it says, when it is unpickled there, where the spans go.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from multiprocessing.process import current_process
from typing import Any

from minitrace.testing import capturing, providers
from minitrace.testing.processes import forks

PREFIX = "OTEL_"  # forkserver's children have the environment of the first test that started one


class Invitation:
    """Becomes, where it is unpickled, part in the capture that was active where it was pickled."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        capture = capturing.active()
        if capture is None:
            return bool, ()  # the child needs nothing of ours
        variables = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
        return accept, (capture.token, capture.pid, forks.home(capture), variables)


def accept(token: str, pid: int, home: str, variables: Mapping[str, str]) -> Invitation:
    """In the child: what it traces goes home to process `pid`, whose capture has this token."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    os.environ.update(variables)
    forks.homes[pid] = home
    capturing.take_part(token, pid)
    providers.ensure()
    return Invitation()  # for its own children


def include() -> None:
    """From now on all children of this process take part in what is captured when they are started."""
    process: Any = current_process()
    process._config.setdefault("minitrace", Invitation())
