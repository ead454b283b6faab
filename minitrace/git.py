"""What git knows of a directory: commit, branch, whether something was changed. No git is fine, and no repository."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 1.0  # a huge repository on a slow disk; a start does not wait for it
# Neither locks nor hooks: somebody else may be at work there, and the directory need not be ours.
_STATUS = (
    "git", "-c", "core.fsmonitor=false", "--no-optional-locks",
    "status", "--porcelain=v2", "--branch", "--untracked-files=no", "--ignore-submodules",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Checkout:
    """A working directory; `commit` is None outside a repository, `branch` where none is checked out."""

    commit: str | None = None
    branch: str | None = None
    is_dirty: bool = False


def checkout(directory: Path) -> Checkout:
    """What is checked out in a directory; nothing where git does not say so within a second."""
    try:
        done = subprocess.run(  # noqa: S603 (all words are ours)
            _STATUS,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
            env={**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return Checkout()
    return read_status(done.stdout) if done.returncode == 0 else Checkout()


def read_status(text: str) -> Checkout:
    """What ``git status --porcelain=v2 --branch`` says."""
    lines = text.splitlines()
    heads = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# branch."))
    commit, branch = heads.get("branch.oid", "(initial)"), heads.get("branch.head", "(detached)")
    return Checkout(
        None if commit == "(initial)" else commit,
        None if branch == "(detached)" else branch,
        any(not line.startswith("# ") for line in lines),
    )
