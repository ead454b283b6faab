"""Which place is meant: the server or the file that was named, or whatever is there.

| named                               | asked                                                                    |
|-------------------------------------|--------------------------------------------------------------------------|
| `--db FILE`                         | that file                                                                |
| `--server URL`, `MINITRACE_URL`     | that server, and nothing else                                            |
| `OTEL_EXPORTER_OTLP_ENDPOINT`       | what answers there, if it is a minitrace; else                           |
| nothing                             | the server at http://localhost:4318; if none answers, the file that      |
|                                     | minitrace stores in (`MINITRACE_DB`, or its default), and `note` says so |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from minitrace.asking.server import Server
from minitrace.asking.source import Source
from minitrace.config import MEMORY, Config, variable
from minitrace.errors import ConfigError

DEFAULT_URL = "http://localhost:4318"
URL_VARIABLE, OTLP_VARIABLE = "MINITRACE_URL", "OTEL_EXPORTER_OTLP_ENDPOINT"


@dataclass(frozen=True, slots=True)
class Place:
    """What was named, by flags and by variables."""

    server: str
    token: str
    db: str
    environ: Mapping[str, str]

    @property
    def is_server_named(self) -> bool:
        """Whether it must be that server, or none."""
        return bool(self.server or self.environ.get(URL_VARIABLE))

    @property
    def url(self) -> str:
        """Where a server would be."""
        named = self.server or self.environ.get(URL_VARIABLE) or self.environ.get(OTLP_VARIABLE)
        return (named or DEFAULT_URL).rstrip("/")

    def file(self) -> Config:
        """The settings with the file. Raises ConfigError where it is none."""
        name = self.db or self.environ.get(variable("db"), "")
        if name == MEMORY:
            raise ConfigError(f'"{MEMORY}" is no file, and is gone when its server is. Name a file')
        return Config(db=name)

    def running(self) -> Server | None:
        """The server, if it answers. Raises MinitraceError: it wants another token, or its address is none."""
        server = Server(self.url, self.token)
        return server if server.answers() else None

    def silence(self) -> ConfigError:
        """That the server that was named does not answer."""
        return ConfigError(f'no minitrace answers at {self.url}; start one with "minitrace", or name a file with --db')

    def open(self, note: Callable[[str], None], *, is_watched: bool = False) -> Source:
        """What is to be asked; `note` gets a line where that is a file that nobody named.

        Raises:
            ConfigError: the server that was named does not answer, or there is nothing to ask at all.
            StoreError: the file cannot be read.
        """
        from minitrace.asking.file import File  # whoever asks servers alone does without all that reads the store

        if self.db:
            return File(self.file().path, is_watched=is_watched)
        if server := self.running():
            return server
        if self.is_server_named:
            raise self.silence()
        path = self.file().path
        if not path.exists():
            raise ConfigError(
                f'no minitrace answers at {self.url}, and there is no file {path} yet; start one with "minitrace", '
                "or name another with --server or --db"
            )
        note(f"no minitrace answers at {self.url}: reading {path}")
        return File(path, is_watched=is_watched)
