"""Every setting once: its default, environment variable, flag and help.

`Config` is the list. A field ``max_body_bytes`` is the flag ``--max-body-bytes`` and the variable
``MINITRACE_MAX_BODY_BYTES``; a flag wins over a variable, a variable over the default. Lists are
separated by commas in a variable and repeated as flags.
"""

from __future__ import annotations

import ipaddress
import os
import re
from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from platformdirs import user_data_path

from minitrace.durations import parse_duration
from minitrace.errors import ConfigError, DecodeError
from minitrace.sizes import parse_size

PREFIX = "MINITRACE_"
MEMORY = ":memory:"
GRPC_PORT = 4317
MIB = 1024 * 1024
NO_LIMIT = ("", "0", "none")
METRICS_LABELS = ("service", "span_name", "span_kind", "status_code", "le")  # what the series of spans have anyway
_NO_LABEL = re.compile(r"[^a-zA-Z0-9_]|^(?=[0-9])")
# Room is made by a sixteenth of a limit: below these, by less than a batch at a time.
LEAST_SIZE_BYTES = 8_000_000
LEAST_SPANS = 1_000
LEAST_AGE_NS = 60_000_000_000  # what is too old is looked for once a minute


def _setting(default: Any, help: str, metavar: str = "", choices: tuple[str, ...] = ()) -> Any:
    metadata = {"help": help, "metavar": metavar, "choices": choices}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Config:
    """The settings of one server."""

    host: str = _setting("127.0.0.1", "address to listen on; any but loopback needs a token", "ADDRESS")
    port: int = _setting(4318, "port to listen on; 0 picks a free one", "N")
    grpc_port: int | None = _setting(
        None,
        "a further port, as gRPC's clients expect one; 0 for none (default: 4317 if free; none with --port 0)",
        "N",
    )
    listen: list[str] = _setting(
        [], "a further port to listen on, such as 9411 or 127.0.0.2:16686; repeatable", "[ADDRESS:]PORT"
    )
    db: str = _setting("", 'SQLite file; ":memory:" is a temporary file, removed at exit', "FILE")
    token: str = _setting("", "what every request must carry, best given as a variable; made up when needed", "TOKEN")
    ingest_token: str = _setting("", "a second token that may only send telemetry", "TOKEN")
    dangerously_no_auth: bool = _setting(False, "serve beyond loopback without a token")
    allow_host: list[str] = _setting([], "a further Host name to answer to; repeatable", "NAME")
    allow_origin: list[str] = _setting(
        [],
        "a further web origin that may send telemetry, such as https://app.test:3000; repeatable",
        "ORIGIN",
    )
    durability: str = _setting(
        "normal",
        "normal: a crash of minitrace loses nothing that was acknowledged; full: nor does a power cut",
        choices=("normal", "full"),
    )
    max_body_bytes: int = _setting(64 * MIB, "largest request body, before and after decompression", "N")
    query_timeout_s: float = _setting(2.0, "how long one query may take", "SECONDS")
    max_size: str = _setting(
        "2GB",
        "how large the file may grow before the oldest spans and logs are removed, such as 500MB; 0 for no limit",
        "SIZE",
    )
    max_age: str = _setting("", "remove spans and logs that came longer ago than this, such as 7d or 12h", "DURATION")
    max_spans: int = _setting(
        0, "how many spans and log records are kept before the oldest are removed; 0 for no limit", "N"
    )

    metrics_dimension: list[str] = _setting(
        [],
        "an attribute, such as http.route, whose values /metrics tells apart, too; repeatable",
        "ATTRIBUTE",
    )

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"{PREFIX}PORT or --port {self.port} is not a port: use 0 to 65535")
        if not 0 <= self.wanted_grpc_port <= 65535:
            raise ConfigError(f"{PREFIX}GRPC_PORT or --grpc-port {self.grpc_port} is not a port: use 0 to 65535")
        self.listeners  # noqa: B018 (it raises)
        taken = {"", *METRICS_LABELS}
        for name in self.metrics_dimension:
            label = metrics_label(name)
            if label in taken:
                raise ConfigError(f"metrics-dimension {name!r} would be no label of its own, {label!r}: leave it out")
            taken.add(label)
        if self.durability not in ("normal", "full"):
            raise ConfigError(f"durability {self.durability!r} is unknown: use normal or full")
        if self.max_body_bytes <= 0:
            raise ConfigError("max-body-bytes must be above 0")
        if self.query_timeout_s <= 0:
            raise ConfigError("query-timeout-s must be above 0")
        if self.ingest_token and not self.token and (self.is_local or self.dangerously_no_auth):
            raise ConfigError("an ingest token alone protects nothing: set --token too")
        if (self.max_size_bytes or LEAST_SIZE_BYTES) < LEAST_SIZE_BYTES:
            raise ConfigError(f"max-size {self.max_size} is too small: use 8MB or more, or 0 for no limit")
        if (self.max_age_ns or LEAST_AGE_NS) < LEAST_AGE_NS:
            raise ConfigError(f"max-age {self.max_age} is too short: use 1m or more, or 0 for no limit")
        if self.max_spans and self.max_spans < LEAST_SPANS:
            raise ConfigError(f"max-spans {self.max_spans} is too few: use {LEAST_SPANS} or more, or 0 for no limit")

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        return all(is_loopback(host) for host in self.hosts)

    @property
    def hosts(self) -> list[str]:
        """All addresses to listen on."""
        return [self.host, *(host for host, _ in self.listeners)]

    @property
    def listeners(self) -> list[tuple[str, int]]:
        """The address and port of each ``--listen``. Raises ConfigError."""
        return [_read_listener(text, self.host) for text in self.listen]

    @property
    def wanted_grpc_port(self) -> int:
        """The port of ``--grpc-port``, 0 for none; who asks for any free port gets no further one unasked."""
        if self.grpc_port is not None:
            return self.grpc_port
        return GRPC_PORT if self.port else 0

    @property
    def max_size_bytes(self) -> int | None:
        """How large the file may grow; None for no limit."""
        return _limit(self.max_size, parse_size, "max-size {} is not a size: use 500MB, 2GB or 1.5GiB")

    @property
    def max_age_ns(self) -> int | None:
        """How long spans are kept; None for no limit."""
        return _limit(self.max_age, parse_duration, "max-age {} is not a duration: use 7d, 12h or 30m")

    @property
    def path(self) -> Path:
        """Where the database file is; not meaningful for ":memory:"."""
        return Path(self.db) if self.db else user_data_path("minitrace") / "minitrace.db"


def metrics_label(attribute: str) -> str:
    """The label of a ``--metrics-dimension``: ``http_route`` for ``http.route``."""
    return _NO_LABEL.sub("_", attribute)


def is_name(host: str) -> bool:
    """Whether a host is a name rather than an address."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return True
    return False


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own: 127.0.0.0/8, ::1 or localhost."""
    if host.lower() == "localhost":
        return True
    return not is_name(host) and ipaddress.ip_address(host.strip("[]")).is_loopback


def is_everywhere(host: str) -> bool:
    """Whether an address stands for all that this machine has: 0.0.0.0 or ::."""
    return not is_name(host) and ipaddress.ip_address(host.strip("[]")).is_unspecified


def add_arguments(parser: ArgumentParser) -> None:
    """Give the parser a flag for each setting."""
    for setting in fields(Config):
        text = f"{setting.metadata['help']}{_default_text(setting)} [{variable(setting.name)}]"
        options: dict[str, Any] = {"help": text.replace("%", "%%"), "default": SUPPRESS}
        if setting.type == "bool":
            options["action"] = "store_true"
        else:
            options["metavar"] = setting.metadata["metavar"] or None
            options["type"] = _READERS[str(setting.type)]
        if setting.metadata["choices"]:
            options["choices"] = setting.metadata["choices"]
        if setting.type == "list[str]":
            options["action"] = "append"
            options["type"] = str
        parser.add_argument(f"--{setting.name.replace('_', '-')}", **options)


def read(arguments: Namespace, environ: Mapping[str, str] = os.environ) -> Config:
    """The settings from parsed flags, then the environment, then the defaults.

    Raises:
        ConfigError: a value cannot be read or makes no sense.
    """
    values: dict[str, Any] = {}
    for setting in fields(Config):
        if hasattr(arguments, setting.name):
            values[setting.name] = getattr(arguments, setting.name)
        elif text := environ.get(variable(setting.name)):
            values[setting.name] = _from_text(setting, text)
    return Config(**values)


def variable(name: str) -> str:
    """The environment variable of a setting: ``MINITRACE_PORT`` for ``port``."""
    return PREFIX + name.upper()


def _read_listener(text: str, default_host: str) -> tuple[str, int]:
    host, _, port = text.strip().rpartition(":")
    is_port = port.isascii() and port.isdigit() and 0 < int(port) <= 65535
    if not is_port or (":" in host and not host.startswith("[")):
        raise ConfigError(f"--listen {text!r} is not a port: use 9411, 127.0.0.2:9411 or [::1]:9411")
    return host.strip("[]") or default_host, int(port)


def _limit(text: str, parse: Callable[[str], int], problem: str) -> int | None:
    if text.strip().lower() in NO_LIMIT:
        return None
    try:
        return parse(text) or None
    except DecodeError:
        raise ConfigError(f"{problem.format(repr(text))}, or 0 for no limit") from None


def _from_text(setting: Field[Any], text: str) -> Any:
    reader = _READERS[str(setting.type)]
    try:
        return reader(text)
    except ValueError:
        raise ConfigError(f"{variable(setting.name)}={text!r} is not {_KINDS[str(setting.type)]}") from None


def _default_text(setting: Field[Any]) -> str:
    default = setting.default if setting.name != "db" else str(Config().path)
    return f" (default: {default})" if isinstance(default, str | int | float) and default else ""


def _read_bool(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError(text)


def _read_list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


_READERS: dict[str, Any] = {
    "str": str,
    "int": int,
    "int | None": int,
    "float": float,
    "bool": _read_bool,
    "list[str]": _read_list,
}
_KINDS = {"int": "a whole number", "int | None": "a whole number", "float": "a number", "bool": "true or false"}
