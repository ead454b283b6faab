"""Spans are captured whoever makes the provider, and when; and the program's own provider is left alone."""

from __future__ import annotations

import pytest

from tests.testing.programs import run

SDK = "from opentelemetry import trace\nfrom opentelemetry.sdk.trace import TracerProvider\n"
CAPTURE = "from minitrace.testing import capture\n"


def test_a_program_that_sets_no_provider() -> None:
    program = """
    from opentelemetry import trace
    tracer = trace.get_tracer("app", "1.0")
    with tracer.start_as_current_span("before"):
        pass
    with capture() as traces:
        with tracer.start_as_current_span("checkout"):
            tracer.start_span("charge").end()
        @tracer.start_as_current_span("decorated")
        def work(): pass
        work()
    with tracer.start_as_current_span("after") as after:
        assert not after.is_recording()
    print(traces.find().names, traces.one('{ name = "charge" }').parent.name, traces.roots()[0].scope)
    print(type(trace.get_tracer_provider()).__name__)
    """
    assert run(CAPTURE, program).splitlines() == [
        "['checkout', 'charge', 'decorated'] checkout app",
        "ProxyTracerProvider",
    ]


def test_a_global_provider_that_was_set_before() -> None:
    program = SDK + CAPTURE + "provider = TracerProvider()\ntrace.set_tracer_provider(provider)\n"
    program += "with capture() as traces:\n    trace.get_tracer('app').start_span('a').end()\n"
    program += "print(traces.find().names, trace.get_tracer_provider() is provider)"
    assert run(program) == "['a'] True"


def test_a_global_provider_that_is_set_within() -> None:
    program = """
    from opentelemetry.sdk.resources import Resource
    tracer = trace.get_tracer("module level")
    with capture() as traces:
        tracer.start_span("before").end()
        provider = TracerProvider(resource=Resource({"service.name": "shop"}))
        trace.set_tracer_provider(provider)
        tracer.start_span("after").end()
    print([span.service.partition(":")[0] for span in traces.find()], traces.find().names)
    print(trace.get_tracer_provider() is provider)
    with capture() as traces:
        tracer.start_span("later").end()
    print(traces.find().names, tracer._tracer.resource is provider.resource)
    """
    assert run(SDK, CAPTURE, program).splitlines() == [
        "['unknown_service', 'shop'] ['before', 'after']",
        "True",
        "['later'] True",
    ]


def test_a_global_provider_that_is_set_between_two_tests() -> None:
    program = """
    with capture():
        pass
    trace.set_tracer_provider(TracerProvider())
    with capture() as traces:
        trace.get_tracer("app").start_span("a").end()
    print(traces.find().names)
    """
    assert run(CAPTURE, SDK, program) == "['a']"


def test_a_second_and_a_local_provider() -> None:
    program = """
    trace.set_tracer_provider(TracerProvider())
    class Own(TracerProvider):
        pass
    early = Own()
    with capture() as traces:
        late = TracerProvider()
        trace.get_tracer("app").start_span("global").end()
        early.get_tracer("app").start_span("early").end()
        late.get_tracer("app").start_span("late").end()
    print(traces.find().names)
    """
    assert run(SDK, CAPTURE, program) == "['global', 'early', 'late']"


def test_an_sdk_that_is_imported_within() -> None:
    program = """
    import sys
    with capture() as traces:
        assert not any(name.startswith("opentelemetry") for name in sys.modules)
        from opentelemetry.sdk.trace import TracerProvider
        TracerProvider().get_tracer("app").start_span("a").end()
    print(traces.find().names)
    """
    assert run(CAPTURE, program) == "['a']"


def test_logfire() -> None:
    program = """
    import logfire
    with capture() as traces:
        logfire.configure(send_to_logfire=False, console=False, inspect_arguments=False)
        with logfire.span("checkout {sku}", sku="A1"):
            logfire.info("charged")
    print(traces.find().names, traces.roots()[0].scope)
    """
    pytest.importorskip("logfire")
    assert run(CAPTURE, program) == "['checkout {sku}', 'charged'] logfire"


def test_a_thousand_tests_leave_one_hub_on_a_provider() -> None:
    program = """
    provider = TracerProvider()
    trace.set_tracer_provider(provider)
    for _ in range(1000):
        with capture(env="off"):
            pass
    print(len(provider._active_span_processor._span_processors), trace.get_tracer_provider() is provider)
    """
    assert run(SDK, CAPTURE, program) == "1 True"


def test_without_opentelemetry_captures_are_empty() -> None:
    program = """
    import sys
    sys.modules["opentelemetry"] = None  # as if it were not installed
    with capture() as traces:
        pass
    print(traces.find().names, traces.capture.circumstances().is_sdk_installed)
    """
    assert run(CAPTURE, program) == "[] False"


def test_a_capture_imports_no_sdk_and_no_server_of_pages() -> None:
    program = """
    import sys
    with capture() as traces:
        traces.find('{ name = "a" }')
    print([name for name in ("opentelemetry", "uvicorn", "starlette", "sqlite3") if name in sys.modules])
    """
    assert run(CAPTURE, program) == "[]"


# What the diagnosis is told


@pytest.mark.parametrize(
    ("sampler", "off"),
    [
        ("ALWAYS_OFF", "('AlwaysOffSampler',)"),
        ("ParentBased(ALWAYS_OFF)", "('AlwaysOffSampler',)"),
        ("TraceIdRatioBased(0)", "('TraceIdRatioBased{0}',)"),
        ("ParentBased(ALWAYS_ON)", "()"),
        ("TraceIdRatioBased(0.5)", "()"),
    ],
)
def test_samplers_that_drop_everything_are_known(sampler: str, off: str) -> None:
    program = SDK + CAPTURE + "from opentelemetry.sdk.trace.sampling import *\n"
    program += f"provider = TracerProvider({sampler})\nwith capture() as traces:\n    pass\n"
    program += "print(traces.capture.circumstances().samplers_off)"
    assert run(program) == off


def test_spans_that_a_sampler_dropped_are_counted() -> None:
    program = """
    from opentelemetry.sdk.trace.sampling import *
    class Recording(Sampler):
        def should_sample(self, *args, **kwargs): return SamplingResult(Decision.RECORD_ONLY)
        def get_description(self): return "Recording"
    with capture() as traces:
        for sampler in (ALWAYS_OFF, Recording(), ALWAYS_ON):
            TracerProvider(sampler).get_tracer("app").start_span(sampler.get_description()).end()
    print(traces.find().names, traces.capture.circumstances().unsampled)
    """
    assert run(SDK, CAPTURE, program) == "['AlwaysOnSampler'] 2"


@pytest.mark.parametrize(("env", "disabled"), [("set", "True"), ("off", "True")])
def test_an_sdk_that_is_switched_off_is_known(env: str, disabled: str) -> None:
    program = SDK + CAPTURE + f"provider = TracerProvider()\nwith capture(env={env!r}) as traces:\n"
    program += "    print(traces.capture.circumstances().is_sdk_disabled)"
    assert run(program, OTEL_SDK_DISABLED="true") == disabled


def test_an_earlier_tests_provider_that_is_switched_off_says_nothing_of_this_one() -> None:
    program = SDK + CAPTURE + "import os\nearlier = TracerProvider()\ndel os.environ['OTEL_SDK_DISABLED']\n"
    program += "own = TracerProvider()\nwith capture() as traces:\n    pass\n"
    program += "print(traces.capture.circumstances().is_sdk_disabled)"
    assert run(program, OTEL_SDK_DISABLED="true") == "False"


def test_a_provider_that_is_made_within_is_not_switched_off() -> None:
    program = SDK + CAPTURE + "with capture() as traces:\n    provider = TracerProvider()\n"
    program += "    provider.get_tracer('app').start_span('a').end()\n"
    program += "print(traces.find().names, traces.capture.circumstances().provider_count)"
    assert run(program, OTEL_SDK_DISABLED="true") == "['a'] 1"


def test_a_provider_that_keeps_its_processors_itself_is_made_as_ever() -> None:
    program = """
    class Listed(TracerProvider):
        def __init__(self):
            super().__init__()
            self.processors = []
        def add_span_processor(self, processor):
            self.processors.append(processor)
            super().add_span_processor(processor)

    with capture() as traces:
        provider = Listed()
        provider.get_tracer("app").start_span("a").end()
    print(traces.find().names, provider.processors)
    """
    assert run(SDK, CAPTURE, program) == "['a'] []"


def test_a_program_without_a_provider_is_captured_whatever_sampler_its_environment_names() -> None:
    program = """
    import os
    os.environ["OTEL_TRACES_SAMPLER"] = "always_off"
    from opentelemetry import trace
    with capture(env="off") as traces:
        trace.get_tracer("app").start_span("a").end()
    print(traces.find().names)
    """
    assert run(CAPTURE, program) == "['a']"
