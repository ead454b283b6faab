"""Environment variables that make a child process send its spans here.

An exporter appends ``/v1/traces`` to the endpoint, so the token of a capture in the endpoint's path needs no help from
the application. OTEL_EXPORTER_OTLP_TIMEOUT is left alone: Python reads seconds, the specification milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping

from minitrace.testing.capturing import TEST_ID

LOCAL = ("127.0.0.1", "localhost")
LISTS = ("NO_PROXY", "no_proxy", "OTEL_RESOURCE_ATTRIBUTES")  # are added to, so that nothing of them is lost
REMOVED_PREFIX = "OTEL_EXPORTER_OTLP_TRACES_"  # each of these wins over the setting for all signals
REMOVED = {
    "OTEL_SDK_DISABLED",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_CONFIG_FILE",
    "OTEL_EXPERIMENTAL_CONFIG_FILE",
}


def variables(
    endpoint: str, token: str, environ: Mapping[str, str], *, bsp_delay_ms: int
) -> tuple[dict[str, str], set[str]]:
    """What to set, and which of the variables in `environ` to take away."""
    added = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{endpoint}/t/{token}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_TRACES_SAMPLER": "always_on",
        "OTEL_BSP_SCHEDULE_DELAY": str(bsp_delay_ms),
        "OTEL_RESOURCE_ATTRIBUTES": _with_token(environ.get("OTEL_RESOURCE_ATTRIBUTES", ""), token),
    }
    # requests prefers the name in small letters, curl knows no other: whoever set that one needs it there, too
    for name in ("NO_PROXY", "no_proxy"):
        if name == "NO_PROXY" or name in environ:
            added[name] = _with_local(environ.get(name, ""))
    removed = {name for name in environ if name in REMOVED or name.startswith(REMOVED_PREFIX)}
    return added, removed


def complete(endpoint: str, token: str, environ: Mapping[str, str], *, bsp_delay_ms: int) -> dict[str, str]:
    """A whole environment: `environ` with what is set, and without what is taken away."""
    added, removed = variables(endpoint, token, environ, bsp_delay_ms=bsp_delay_ms)
    return {name: value for name, value in environ.items() if name not in removed} | added


def _with_token(resource: str, token: str) -> str:
    """Resource attributes with ours; that of an enclosing capture goes."""
    kept = [pair for pair in resource.split(",") if pair.strip() and pair.partition("=")[0].strip() != TEST_ID]
    return ",".join([*kept, f"{TEST_ID}={token}"])


def _with_local(no_proxy: str) -> str:
    if no_proxy.strip() == "*":
        return no_proxy
    hosts = [host.strip() for host in no_proxy.split(",") if host.strip()]
    return ",".join([*hosts, *(host for host in LOCAL if host not in hosts)])
