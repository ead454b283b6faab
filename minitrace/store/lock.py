"""One minitrace per file.

SQLite allows several writing processes, but before 3.51.3 two connections that write and checkpoint at
the same moment can corrupt a WAL file (https://sqlite.org/wal.html#walresetbug), and Pythons ship older
ones. So the process that writes holds an advisory lock on ``<db>.lock``; the kernel frees it however the
process ends, and a leftover file means nothing.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from minitrace.errors import StoreLocked

_BYTE = 1 << 20  # the byte locked on Windows lies beyond the text, which others may then read


class Lock:
    """The right to write one database file, held until `release`.

    Raises:
        StoreLocked: another process holds it; the message names its process id.
    """

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".lock")
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            _lock(self._file)
        except OSError:
            owner = os.read(self._file, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise StoreLocked(
                f"another minitrace (process {owner}) is using {database}. Stop it, or start with another --db"
            ) from None
        os.ftruncate(self._file, 0)
        os.write(self._file, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let the next process write."""
        os.close(self._file)


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        os.lseek(file, _BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(file, 0, os.SEEK_SET)
else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
