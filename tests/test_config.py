"""Settings: flag over variable over default, and errors that name what was given."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import fields

import pytest

from minitrace import config
from minitrace.config import Config
from minitrace.errors import ConfigError


def read(*flags: str, **environ: str) -> Config:
    parser = ArgumentParser()
    config.add_arguments(parser)
    return config.read(parser.parse_args(flags), environ)


def test_the_defaults_are_those_of_a_laptop() -> None:
    settings = read()
    assert (settings.host, settings.port, settings.is_local, settings.token) == ("127.0.0.1", 4318, True, "")
    assert settings.path.name == "minitrace.db"


def test_a_variable_beats_the_default_and_a_flag_beats_the_variable() -> None:
    environ = {"MINITRACE_PORT": "5000", "MINITRACE_HOST": "::1"}
    assert (read(**environ).port, read("--port", "6000", **environ).port, read(**environ).host) == (5000, 6000, "::1")


def test_an_empty_variable_is_no_setting() -> None:
    assert read(MINITRACE_PORT="").port == 4318


def test_lists_are_repeated_flags_or_parted_by_commas() -> None:
    assert read("--allow-host", "a", "--allow-host", "b").allow_host == ["a", "b"]
    assert read(MINITRACE_ALLOW_HOST="a, b,").allow_host == ["a", "b"]


@pytest.mark.parametrize(("text", "value"), [("1", True), ("yes", True), ("off", False), ("FALSE", False)])
def test_switches_are_read_from_words(text: str, value: bool) -> None:
    assert read(MINITRACE_DANGEROUSLY_NO_AUTH=text).dangerously_no_auth is value


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"MINITRACE_PORT": "http"}, "MINITRACE_PORT='http' is not a whole number"),
        ({"MINITRACE_PORT": "70000"}, "70000 is not a port: use 0 to 65535"),
        ({"MINITRACE_QUERY_TIMEOUT_S": "soon"}, "MINITRACE_QUERY_TIMEOUT_S='soon' is not a number"),
        ({"MINITRACE_QUERY_TIMEOUT_S": "0"}, "must be above 0"),
        ({"MINITRACE_DANGEROUSLY_NO_AUTH": "maybe"}, "MINITRACE_DANGEROUSLY_NO_AUTH='maybe' is not true or false"),
        ({"MINITRACE_DURABILITY": "perfect"}, "durability 'perfect' is unknown: use normal or full"),
        ({"MINITRACE_MAX_BODY_BYTES": "-1"}, "must be above 0"),
        ({"MINITRACE_INGEST_TOKEN": "x"}, "an ingest token alone protects nothing"),
        ({"MINITRACE_MAX_SIZE": "big"}, "max-size 'big' is not a size: use 500MB, 2GB or 1.5GiB, or 0 for no limit"),
        ({"MINITRACE_MAX_SIZE": "2"}, "max-size '2' is not a size"),
        ({"MINITRACE_MAX_SIZE": "7.9MB"}, "max-size 7.9MB is too small: use 8MB or more, or 0 for no limit"),
        ({"MINITRACE_MAX_AGE": "a week"}, "max-age 'a week' is not a duration: use 7d, 12h or 30m, or 0 for no limit"),
        ({"MINITRACE_MAX_AGE": "59s"}, "max-age 59s is too short: use 1m or more, or 0 for no limit"),
        ({"MINITRACE_MAX_SPANS": "-1"}, "max-spans -1 is too few: use 1000 or more, or 0 for no limit"),
        ({"MINITRACE_MAX_SPANS": "many"}, "MINITRACE_MAX_SPANS='many' is not a whole number"),
    ],
)
def test_a_value_that_makes_no_sense_is_named(environ: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(**environ)
    assert said in str(error.value)


def test_two_gigabytes_are_kept_unless_told_otherwise() -> None:
    settings = read()
    assert (settings.max_size_bytes, settings.max_age_ns, settings.max_spans) == (2_000_000_000, None, 0)
    settings = read("--max-size", "1.5GiB", "--max-age", "7d", "--max-spans", "1000")
    assert (settings.max_size_bytes, settings.max_age_ns) == (1_610_612_736, 7 * 86_400_000_000_000)
    assert settings.max_spans == 1000


@pytest.mark.parametrize("text", ["0", "none", "None", "0GB", ""])
def test_a_limit_can_be_switched_off(text: str) -> None:
    assert read("--max-size", text).max_size_bytes is None
    assert read("--max-age", text.replace("GB", "d")).max_age_ns is None


def test_every_setting_has_a_flag_a_variable_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read("--help")
    text = " ".join(capsys.readouterr().out.split())
    for setting in fields(Config):
        assert f"--{setting.name.replace('_', '-')}" in text
        assert f"[{config.variable(setting.name)}]" in text


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("LOCALHOST", True),
     ("0.0.0.0", False), ("::", False), ("192.168.1.5", False), ("devbox", False), ("localhost.evil.com", False)],
)  # fmt: skip
def test_what_counts_as_this_machine(host: str, local: bool) -> None:
    assert config.is_loopback(host) is local


@pytest.mark.parametrize("names", [["service"], ["span.kind"], ["http.route", "http_route"], [""]])
def test_a_dimension_of_metrics_needs_a_label_of_its_own(names: list[str]) -> None:
    with pytest.raises(ConfigError, match="no label of its own"):
        Config(metrics_dimension=names)


@pytest.mark.parametrize(
    ("attribute", "label"), [("http.route", "http_route"), ("k8s-pod/name", "k8s_pod_name"), ("3scale", "_3scale")]
)
def test_the_label_of_a_dimension_has_only_what_labels_may_have(attribute: str, label: str) -> None:
    assert config.metrics_label(attribute) == label
