"""What runs the programs: each language's packages, pinned beside them, installed once outside of the checkout.

CI's checkout is a new one each time, so they are kept in the user's cache, under a name that changes when the pins do.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path

import pytest
from platformdirs import user_cache_path

PROGRAMS = Path(__file__).parent
CACHE = user_cache_path("minitrace-tests")


class NotInstalled(Exception):
    """A language's commands, or its packages, cannot be had here; says what is missing."""


def installed(toolchain: Toolchain) -> Toolchain:
    """The tool chain, ready to run programs; where it cannot be had the test is skipped, but in CI."""
    try:
        toolchain.folder  # noqa: B018 - it is installed when asked for
    except NotInstalled as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    return toolchain


class Toolchain(ABC):
    """A language, whose programs and pinned packages lie in a folder of its name."""

    language: str
    needs: tuple[str, ...] = ()  # commands
    sources: tuple[str, ...]  # patterns of the files that decide what is installed

    @property
    def programs(self) -> Path:
        """Where its programs are."""
        return PROGRAMS / self.language.lower()

    @cached_property
    def folder(self) -> Path:
        """Where its packages are, installed now if they were not.

        Raises:
            NotInstalled: they cannot be.
        """
        for command in self.needs:
            if not shutil.which(command):
                raise NotInstalled(f"{command} is not installed")
        folder = CACHE / f"{self.language.lower()}-{self._digest()}"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # pytest's workers come here at the same time
            if not (folder / ".installed").exists():
                self._install(folder)
                (folder / ".installed").touch()
        return folder

    @abstractmethod
    def command(self, *words: str) -> list[str | Path]:
        """What runs a program with arguments."""

    @abstractmethod
    def version(self, package: str) -> str:
        """The pinned version of a package; KeyError if it is not pinned."""

    def env(self) -> dict[str, str]:
        """What its programs find their packages by."""
        return {}

    @abstractmethod
    def _install(self, folder: Path) -> None:
        """Put the packages there, and what is compiled."""

    def _digest(self) -> str:
        files = sorted(path for pattern in self.sources for path in self.programs.glob(pattern))
        contents = b"".join(path.read_bytes() for path in files)
        return hashlib.sha256(sys.version.encode() + contents).hexdigest()[:12]  # an environment belongs to a Python

    def _pinned(self, file: str, pattern: str) -> str:
        found = re.search(pattern, (self.programs / file).read_text(encoding="utf-8"), re.MULTILINE)
        if not found:
            raise KeyError(f"{file} pins nothing like {pattern}")
        return found[1]


class Python(Toolchain):
    """An environment with the packages of a file of requirements."""

    language = "Python"

    def __init__(self, requirements: str = "requirements.txt") -> None:
        self.sources = (requirements,)

    def command(self, *words: str) -> list[str | Path]:
        """``python PROGRAM…``, or ``opentelemetry-instrument python PROGRAM…``."""
        program, *arguments = words
        if program == "opentelemetry-instrument":
            return [self.folder / "bin" / program, *self.command(*arguments)]
        return [self.folder / "bin" / "python", self.programs / program, *arguments]

    def version(self, package: str) -> str:
        return self._pinned(self.sources[0], rf"^{re.escape(package)}==(\S+)")

    def _install(self, folder: Path) -> None:
        run(sys.executable, "-m", "venv", folder)
        requirements = self.programs / self.sources[0]
        run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--requirement", requirements)


class Node(Toolchain):
    """The packages of package-lock.json."""

    language = "Node"
    needs = ("node", "npm")
    sources = ("package.json", "package-lock.json")

    def command(self, *words: str) -> list[str | Path]:
        """``node [--require PACKAGE] PROGRAM…``."""
        return ["node", *(self.programs / word if word.endswith(".js") else word for word in words)]

    def version(self, package: str) -> str:
        pinned = json.loads((self.programs / "package.json").read_text(encoding="utf-8"))["dependencies"]
        return str(pinned[package])

    def env(self) -> dict[str, str]:
        # Detectors of clouds would ask their metadata services.
        return {"NODE_PATH": str(self.folder / "node_modules"), "OTEL_NODE_RESOURCE_DETECTORS": "env,host,process,os"}

    def _install(self, folder: Path) -> None:
        for source in (*self.sources, ".npmrc"):
            shutil.copy(self.programs / source, folder)
        run("npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)


class Browser(Toolchain):
    """Node's packages, bundled for pages, and a Chromium that opens them."""

    language = "Browser"
    needs = Node.needs
    sources = ("*.js", "../node/order.js", "../node/package-lock.json")

    def __init__(self, node: Node) -> None:
        self._node = node

    def command(self, *words: str) -> list[str | Path]:
        """``python page.py CHROMIUM BUNDLE EXPORTER ADDRESS``."""
        return [sys.executable, self.programs / "page.py", _chromium(), self.folder / "sdk.js", *words]

    def version(self, package: str) -> str:
        return self._node.version(package)

    def _install(self, folder: Path) -> None:
        packages = self._node.folder / "node_modules"
        bundled = ("--bundle", "--format=iife", f"--outfile={folder / 'sdk.js'}", "--log-level=warning")
        run(packages / ".bin" / "esbuild", self.programs / "sdk.js", *bundled, env={"NODE_PATH": str(packages)})


def _chromium() -> str:
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("MINITRACE_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if not path:
        raise NotInstalled("Chromium is not installed")
    return path


class Go(Toolchain):
    """Programs compiled with the modules of go.mod."""

    language = "Go"
    needs = ("go",)
    sources = ("go.mod", "go.sum", "*/*.go")

    def command(self, *words: str) -> list[str | Path]:
        """``PROGRAM…``."""
        program, *arguments = words
        return [self.folder / program, *arguments]

    def version(self, package: str) -> str:
        return self._pinned("go.mod", rf"^\s*(?:require )?{re.escape(package)} v(\S+)")

    def _install(self, folder: Path) -> None:
        run("go", "build", "-o", f"{folder}{os.sep}", "./...", cwd=self.programs)


class Java(Toolchain):
    """Programs compiled with the artifacts of pom.xml; the agent lies apart, as it is no library."""

    language = "Java"
    needs = ("java", "javac", "mvn")
    sources = ("pom.xml", "*.java")

    def command(self, *words: str) -> list[str | Path]:
        """``java [-D…] CLASS…``; ``{agent}`` in a word is the folder of the agent."""
        path = os.pathsep.join([str(self.folder / "classes"), f"{self.folder / 'lib'}{os.sep}*"])
        agent = str(self.folder / "agent")
        return ["java", "-cp", path, *(word.replace("{agent}", agent) for word in words)]

    def version(self, package: str) -> str:
        artifact = package.rpartition(":")[2]
        return self._pinned("pom.xml", rf"<artifactId>{re.escape(artifact)}</artifactId>\s*<version>([^<]+)</version>")

    def _install(self, folder: Path) -> None:
        agent = "ArtifactIds=opentelemetry-javaagent"
        self._copy(folder / "agent", f"-Dinclude{agent}")
        self._copy(folder / "lib", f"-Dexclude{agent}")
        sources = sorted(self.programs.glob("*.java"))
        run("javac", "-cp", f"{folder / 'lib'}{os.sep}*", "-d", folder / "classes", *sources)

    def _copy(self, folder: Path, which: str) -> None:
        copy = ("dependency:copy-dependencies", f"-DoutputDirectory={folder}", "-Dmdep.stripVersion=true", which)
        run("mvn", "--batch-mode", "--quiet", *copy, cwd=self.programs)


def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    """Run a command of a package manager or compiler, last in line: tests may run beside it.

    Raises:
        NotInstalled: it failed; with what it said.
    """
    done = subprocess.run(
        ["nice", *command],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NotInstalled(f"{' '.join(map(str, command))} failed:\n{done.stdout[-4000:]}")
