"""The settings of the pytest plugin: each is a line of the ini file, and a flag that wins over it.

pytest imports this module wherever minitrace is installed, so it imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from typing import Any, Literal

import pytest

PREFIX = "minitrace_"


@dataclass(frozen=True)
class Kind:
    """What a value may be: its name in the help, how it is read from text, and what to write where that fails."""

    metavar: str
    read: Callable[[str], Any]
    remedy: str


def _one_of(*names: str) -> Kind:
    read = dict(zip(names, names, strict=True)).__getitem__
    return Kind("|".join(names), read, f"use {', '.join(names[:-1])} or {names[-1]}")


def _above_zero(read: Callable[[str], float]) -> Callable[[str], Any]:
    def checked(text: str) -> float:
        number = read(text)
        if not 0 < number < float("inf"):
            raise ValueError(text)
        return number

    return checked


def _folder(text: str) -> str:
    if not text.strip():
        raise ValueError(text)
    return text


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.replace("\n", ",").split(",") if name.strip())


FLAG = Kind("", bool, "use true or false")
FOLDER = Kind("DIR", _folder, "use the name of a folder")
NAMES = Kind("NAMES", _names, "use names, separated by commas")
COUNT = Kind("N", _above_zero(int), "use a whole number above 0, such as 10000")
MILLISECONDS = Kind("MS", _above_zero(int), "use a whole number of milliseconds above 0, such as 50")
SECONDS = Kind("SECONDS", _above_zero(float), "use a number of seconds above 0, such as 5 or 0.5")
FACTOR = Kind("FACTOR", _above_zero(float), "use a number above 0, such as 3 or 1.5")


def _setting(default: Any, kind: Kind, help: str) -> Any:
    return field(default=default, metadata={"kind": kind, "help": help})


@dataclass(frozen=True)
class Settings:
    """The field ``max_spans`` is ``minitrace_max_spans`` in the ini file and ``--minitrace-max-spans`` as a flag."""

    autocapture: bool = _setting(
        False, FLAG, "capture the spans of every test, not only of those with the fixture 'traces' or the marker"
    )
    show: str = _setting(
        "failed",
        _one_of("failed", "always", "all", "never"),
        "whose spans are drawn: failed tests', always (passed tests', too), all (those of no test, too), or never",
    )
    save: str = _setting(
        "failed",
        _one_of("failed", "always", "never"),
        "whose spans are saved, for 'minitrace open': failed tests', always (passed tests', too), or never",
    )
    dir: str = _setting(
        ".minitrace",
        FOLDER,
        "where they are saved, below the root directory of the tests; what is older than three sessions is removed",
    )
    timeout: float = _setting(
        5.0, SECONDS, "how long traces.wait_for and traces.wait_complete wait if they are not told"
    )
    bsp_delay_ms: int = _setting(
        50,
        MILLISECONDS,
        "how long child processes may hold spans back, in milliseconds (their OTEL_BSP_SCHEDULE_DELAY)",
    )
    exclude_scopes: tuple[str, ...] = _setting(
        (),
        NAMES,
        "instrumentation scopes whose spans are left out, by commas; those of other pytest plugins are anyway",
    )
    max_spans: int = _setting(
        10_000, COUNT, "how many spans of a test are kept; where more came, claims that something did not happen fail"
    )
    env: Literal["set", "keep", "off"] = _setting(
        "set",
        _one_of("set", "keep", "off"),
        "OTEL_* variables that make child processes send their spans to the test: set (them all), keep (what has a "
        "value), or off",
    )
    budget_scale: float = _setting(
        1.0, FACTOR, "what budgets of time are multiplied by, such as 3 where machines are slow"
    )
    hook: bool = _setting(
        True, FLAG, "find the tracer providers of this process; without, only what is sent to the test is captured"
    )

    @property
    def is_about_passed(self) -> bool:
        """Whether anything is to be done for tests that passed."""
        return self.save == "always" or self.show in ("always", "all")


def default_text(default: object) -> str:
    """What the help says of it; "" where a setting is off by default."""
    return "" if default is False or default == () else f" (default: {str(default).lower()})"


def flag(name: str) -> str:
    """The flag of an ini line: ``--minitrace-max-spans`` for ``minitrace_max_spans``."""
    return f"--{name}".replace("_", "-")


def ini_type(default: object) -> Any:
    """What pytest may take a value of the ini file for: from version 9 on, its TOML knows numbers."""
    if isinstance(default, bool):
        return "bool"
    if isinstance(default, int | float) and pytest.version_tuple >= (9,):
        return type(default).__name__
    return "string"


def read_settings(config: pytest.Config) -> Settings:
    """The settings from the command line, then the ini file, then the defaults.

    Raises:
        pytest.UsageError: a value makes no sense.
    """
    return Settings(**{setting.name: _value(config, setting) for setting in fields(Settings)})


def _value(config: pytest.Config, setting: Field[Any]) -> Any:
    name, kind = PREFIX + setting.name, setting.metadata["kind"]
    given = config.getoption(name)
    place = flag(name) if given is not None else name
    try:
        given = config.getini(name) if given is None else given
        return setting.default if given is None else kind.read(given)
    except (LookupError, TypeError, ValueError, pytest.UsageError):
        wrong = "" if given is None else f"={given}"
        raise pytest.UsageError(f"{place}{wrong}: {kind.remedy}") from None
