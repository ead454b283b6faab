"""What git knows of a directory."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from minitrace.git import Checkout, checkout, read_status

needs_git = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")


def git(directory: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *arguments], cwd=directory, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@needs_git
def test_commit_branch_and_changes_are_told(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-qm", "one")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert checkout(tmp_path) == Checkout(commit, "main")
    (tmp_path / "a").write_text("2")
    assert checkout(tmp_path) == Checkout(commit, "main", is_dirty=True)
    git(tmp_path, "checkout", "-q", "--detach")
    assert checkout(tmp_path).branch is None


def test_a_repository_without_a_commit_has_none() -> None:
    assert read_status("# branch.oid (initial)\n# branch.head trunk\n") == Checkout(None, "trunk")


def test_outside_a_repository_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert checkout(tmp_path) == Checkout()


def test_without_git_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert checkout(tmp_path) == Checkout()


def test_a_git_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "git"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("minitrace.git.TIMEOUT_S", 0.1)
    assert checkout(tmp_path) == Checkout()
