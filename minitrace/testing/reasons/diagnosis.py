"""Why nothing arrived: what a capture knows besides its spans, to a cause and its cure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from minitrace import present
from minitrace.analysis.drawing import one_line
from minitrace.testing.capturing import Circumstances

MOST_LINES = 2
BAD_REQUEST = 400
LONGEST, LONGEST_NAME = 240, 60


def diagnosis(circumstances: Circumstances) -> str:
    """Why no span arrived: one or two lines, the likeliest cause first, each with what to do."""
    causes = [*_causes(circumstances)] or [_unknown(circumstances)]
    return present.plain("\n".join(causes[:MOST_LINES]))


def refusals(circumstances: Circumstances) -> str:
    """What the OTLP endpoint refused, in one line; "" if it refused nothing."""
    bad = [request for request in circumstances.requests if request.status >= BAD_REQUEST or not request.status]
    if not bad:
        return ""
    if not bad[-1].status:
        return present.plain(one_line(bad[-1].message, LONGEST))
    count = present.count(len(bad), "request to the OTLP endpoint was", "requests to the OTLP endpoint were")
    last = bad[-1]
    which = f"the last one, to {last.path}," if len(bad) > 1 else last.path
    said = f"{count} refused; {which} was answered {last.status}: {one_line(last.message, LONGEST)}"
    return present.plain(said)


def _causes(seen: Circumstances) -> Iterator[str]:
    """What is known to keep spans away."""
    if refused := refusals(seen):
        yield refused
    if not seen.is_sdk_installed:
        yield (
            "the OpenTelemetry SDK is not installed here, so that spans made in this process are dropped: "
            "install opentelemetry-sdk beside the tests"
        )
    if seen.is_sdk_disabled:
        yield "OTEL_SDK_DISABLED=true turned the OpenTelemetry SDK off: unset it where the tests run"
    if seen.unsampled:
        yield _sampler(seen)
    if seen.excluded:
        yield _excluded(seen.excluded)
    if seen.elsewhere:
        spans = present.count(seen.elsewhere, "span")
        yield (
            f"{spans} arrived meanwhile that belong to no test: send traces.headers along with requests to a server "
            "that tests share, and start processes with traces.env"
        )


def _unknown(seen: Circumstances) -> str:
    if not seen.requests:
        return (
            "no span started in this process, and the OTLP endpoint got 0 requests: is the code that ran instrumented, "
            "and was its process started with the variables of traces.env?"
        )
    return f"the OTLP endpoint got {present.count(len(seen.requests), 'request')}, in which there was no span"


def _sampler(seen: Circumstances) -> str:
    remedy = "set OTEL_TRACES_SAMPLER=always_on, or give the provider ALWAYS_ON in tests"
    if not seen.samplers_off:
        return f"a sampler dropped {present.count(seen.unsampled, 'span')}: {remedy}"
    names = ", ".join(dict.fromkeys(one_line(name, LONGEST_NAME) for name in seen.samplers_off))
    return f"a tracer provider samples no span ({names}): {remedy}"


def _excluded(excluded: Mapping[str, int]) -> str:
    scopes = ", ".join(one_line(scope, LONGEST_NAME) for scope in excluded)
    spans = present.count(sum(excluded.values()), "span was", "spans were")
    return f"{spans} left out, of instrumentation that is excluded ({scopes}): see minitrace_exclude_scopes"
