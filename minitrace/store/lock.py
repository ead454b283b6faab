"""One minitrace per file.

SQLite allows several writing processes, but before 3.51.3 two connections that write and checkpoint at
the same moment can corrupt a WAL file (https://sqlite.org/wal.html#walresetbug), and Pythons ship older
ones. So the process that writes holds an advisory lock on ``<db>.lock``; the kernel frees it however the
process ends, and a leftover file means nothing.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from minitrace.errors import StoreError, StoreLocked

_BYTE = 1 << 20  # the byte locked on Windows lies beyond the text, which others may then read


class Lock:
    """The right to write one database file, held until `release`.

    Raises:
        StoreLocked: another process holds it; the message names its process id.
        StoreError: the folder cannot be written.
    """

    def __init__(self, database: Path) -> None:
        try:
            self._file = _open(database, os.O_CREAT)
        except OSError as error:
            raise StoreError(
                f"cannot write to the folder of {database}: {error.strerror}. Start with another --db"
            ) from None
        try:
            _lock(self._file)
        except OSError:
            os.close(self._file)
            raise StoreLocked(
                f"another minitrace (process {owner(database) or 'unknown'}) is using {database}. "
                "Stop it, or start with another --db"
            ) from None
        os.ftruncate(self._file, 0)
        os.write(self._file, f"{os.getpid()}\n".encode())

    @classmethod
    def for_reading(cls, database: Path) -> Lock | None:
        """Keep others from writing the file while it is read; None where nobody could.

        No lock file is made: where none is, or none that this user may write, no minitrace has the file open.

        Raises:
            StoreLocked: as above.
        """
        with suppress(OSError):
            os.close(_open(database, 0))
            return cls(database)
        return None

    def release(self) -> None:
        """Let the next process write."""
        os.close(self._file)


def owner(database: Path) -> str:
    """The id of the process that has the lock, or had it last; "" if none ever had."""
    try:
        return _path(database).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _path(database: Path) -> Path:
    return database.with_name(database.name + ".lock")


def _open(database: Path, flags: int) -> int:
    return os.open(_path(database), os.O_RDWR | flags | getattr(os, "O_NOFOLLOW", 0), 0o600)


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
