"""What a capture holds at one moment, and what else it knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from minitrace import model

Origin = Literal["in-process", "fork", "otlp"]
Key = tuple[bytes, bytes]  # trace id, span id


@dataclass(frozen=True, slots=True)
class Seen:
    """One captured span, and where it was made."""

    span: model.Span
    origin: Origin
    pid: int | None  # of the process that made it, as far as it is known


@dataclass(frozen=True)  # no slots: what is computed of it is kept
class Snapshot:
    """All that a capture holds at one moment.

    `seen` is in order of arrival, each span once. `dropped` spans came when the capture was full; `open` are the
    names of spans that started in it and have not ended. `version` grows with every arrival.
    """

    seen: tuple[Seen, ...]
    dropped: int
    open: tuple[str, ...]
    version: int

    @cached_property
    def spans(self) -> list[model.Span]:
        """Its spans, in order of arrival."""
        return [one.span for one in self.seen]

    def traces(self) -> list[model.Trace]:
        """Its spans as traces, in order of their first start."""
        return self._traces

    @cached_property
    def _traces(self) -> list[model.Trace]:
        by_trace = model.grouped(self.spans).items()
        return sorted((model.Trace(*item) for item in by_trace), key=lambda trace: trace.start_ns)


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the receiver, and what became of it."""

    path: str
    status: int
    message: str
    spans: int


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a capture knows besides its spans: why there may be none.

    `samplers_off` describes the samplers that drop everything; `excluded` counts spans that were left out, by the
    name of their scope; `unsampled` counts those a sampler dropped. `requests` are those to its own endpoint and bad
    ones to nobody's. `elsewhere` spans came while it was active and belong to no capture.
    """

    is_sdk_installed: bool
    is_sdk_disabled: bool
    provider_count: int
    samplers_off: tuple[str, ...]
    excluded: Mapping[str, int]
    unsampled: int
    requests: tuple[Request, ...]
    elsewhere: int
