"""Which SDK providers there are: each gets the hub, once, and never another.

Nothing is set, reset or replaced, as OpenTelemetry lets a program set its provider once. The SDK's TracerProvider
tells us of every new one; those that exist already are found once. Spans made while the program has set no provider
go to one of our own as long as a test captures; as soon as the program sets its own, to that.

The SDK may be imported at any time, so its modules are watched for, and none is imported from here before it is needed.
"""

from __future__ import annotations

import functools
import gc
import importlib.util
import os
import re
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any
from weakref import WeakSet

from minitrace.testing import capturing
from minitrace.testing.hub import HUB

API, SDK = "opentelemetry.trace", "opentelemetry.sdk.trace"

_attaching = threading.Lock()
_providers: WeakSet[Any] = WeakSet()  # those with the hub
_OFF = re.compile(r"(?:ParentBased\{root:)?(AlwaysOffSampler|TraceIdRatioBased\{0(?:\.0+)?\})")


def ensure() -> None:
    """See to it that the hub is on every provider there is and will be. Costs something the first time only."""
    if _WATCH not in sys.meta_path:
        sys.meta_path.insert(0, _WATCH)
    for name, hook in _HOOKS.items():
        if module := sys.modules.get(name):
            hook(module)


def attach(provider: Any) -> None:
    """Put the hub on a provider, unless it is there."""
    with _attaching:
        if provider not in _providers:
            _providers.add(provider)
            # the SDK's own: one that a subclass puts in its place may need what the subclass has yet to set
            sys.modules[SDK].TracerProvider.add_span_processor(provider, HUB)


class _Watch:
    """Finds no module itself; has those that are watched for hooked when they have been executed."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
        """The spec that others find, with a loader that calls the hook."""
        if name not in _HOOKS:
            return None
        specs = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        spec = next((spec for spec in specs if spec), None)
        if spec and spec.loader:
            _hook_loader(spec, _HOOKS[name])
        return spec


def _hook_loader(spec: ModuleSpec, hook: Callable[[Any], None]) -> None:
    loader: Any = spec.loader
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        if module.__name__ == spec.name:  # a loader may serve many
            hook(module)

    loader.exec_module = exec_module


def _once(hook: Callable[[Any], None]) -> Callable[[Any], None]:
    """A hook that is called once for each module, however often that is imported anew."""

    @functools.wraps(hook)
    def once(module: Any) -> None:
        if not hasattr(module, "_minitrace"):
            module._minitrace = True
            hook(module)

    return once


@_once
def _hook_sdk(trace: Any) -> None:
    if not hasattr(trace.ReadableSpan, "instrumentation_scope"):
        return  # older than 1.11: the hub would not know its spans
    provider_class, tracer_class = trace.TracerProvider, trace.Tracer
    create, start_span = provider_class.__init__, tracer_class.start_span

    @functools.wraps(create)
    def created(self: Any, *args: Any, **kwargs: Any) -> None:
        create(self, *args, **kwargs)
        attach(self)

    @functools.wraps(start_span)
    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        span = start_span(self, *args, **kwargs)
        if not span.is_recording():
            HUB.unsampled()
        return span

    provider_class.__init__, tracer_class.start_span = created, counted
    for provider in _existing(provider_class):
        attach(provider)


def _existing(provider_class: type[Any]) -> list[Any]:
    """The providers that were made before we were asked for: an object refers to its class.

    Compares types alone: `isinstance` asks an object for its class, and some run code of the application then.
    """
    classes = {provider_class, *_below(provider_class)}
    return [thing for thing in gc.get_referrers(*classes) if type(thing) in classes]


def _below(one: type[Any]) -> list[type[Any]]:
    below: list[type[Any]] = one.__subclasses__()
    return below + [deeper for one in below for deeper in _below(one)]


@_once
def _hook_api(trace: Any) -> None:
    proxy = trace.ProxyTracer
    resolve = proxy._tracer.fget

    def _tracer(self: Any) -> Any:
        tracer = resolve(self)
        if self._real_tracer is not None or capturing.active() is None:
            return tracer
        return _own_tracer(self) or tracer

    proxy._tracer = property(_tracer)


def _own_tracer(proxy: Any) -> Any:
    """A tracer of our own provider for a proxy without one; None where there is no SDK."""
    if not hasattr(proxy, "_minitrace") and (provider := _own_provider()):
        names = ("_instrumenting_module_name", "_instrumenting_library_version", "_schema_url", "_attributes")
        proxy._minitrace = provider.get_tracer(*(getattr(proxy, name) for name in names if hasattr(proxy, name)))
    return getattr(proxy, "_minitrace", None)


@functools.cache
def _own_provider() -> Any:
    if not is_sdk_installed():
        return None
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON

    return TracerProvider(ALWAYS_ON, shutdown_on_exit=False)


_HOOKS: dict[str, Callable[[Any], None]] = {API: _hook_api, SDK: _hook_sdk}
_WATCH: Any = _Watch()


# For the diagnosis


def count() -> int:
    """How many providers have the hub."""
    return len(_providers)


def is_sdk_installed() -> bool:
    """Whether the SDK is here, or could be imported."""
    try:
        return SDK in sys.modules or importlib.util.find_spec("opentelemetry.sdk") is not None
    except ModuleNotFoundError:  # not even `opentelemetry`
        return False


def is_sdk_disabled() -> bool:
    """Whether OTEL_SDK_DISABLED is true now, or was when the providers were made: one may be an earlier test's."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return True
    made = [getattr(provider, "_disabled", False) for provider in list(_providers)]
    return bool(made) and all(made)


def samplers_off() -> tuple[str, ...]:
    """The samplers of providers that drop everything."""
    samplers = (provider.sampler for provider in list(_providers))
    described = (sampler.get_description() for sampler in samplers if hasattr(sampler, "get_description"))
    return tuple(match[1] for text in described if (match := _OFF.match(text)))
