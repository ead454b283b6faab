"""Assert on traces: what a test captured, asked in TraceQL.

```
with capture() as traces:
    checkout()
assert traces.one('{ name = "POST /checkout" }')["http.response.status_code"] == 201
```

Under pytest the fixture `traces` is just this. Names are imported when first used (PEP 562): a plugin that is
installed and not used costs a test run nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minitrace.errors import TraceQLError as TraceQLError
    from minitrace.testing.capturing import capture as capture
    from minitrace.testing.failures import Inconclusive as Inconclusive
    from minitrace.testing.failures import TracesFailure as TracesFailure
    from minitrace.testing.failures import TracesTimeout as TracesTimeout
    from minitrace.testing.processes.servers import Server as Server
    from minitrace.testing.shapes.shape import SpanShape as SpanShape
    from minitrace.testing.shapes.shape import span as span
    from minitrace.testing.spans import Event as Event
    from minitrace.testing.spans import Link as Link
    from minitrace.testing.spans import Span as Span
    from minitrace.testing.spans import SpanList as SpanList
    from minitrace.testing.traces import Traces as Traces

_HOMES = {
    "Event": "minitrace.testing.spans",
    "Inconclusive": "minitrace.testing.failures",
    "Link": "minitrace.testing.spans",
    "Server": "minitrace.testing.processes.servers",
    "Span": "minitrace.testing.spans",
    "SpanList": "minitrace.testing.spans",
    "SpanShape": "minitrace.testing.shapes.shape",
    "TraceQLError": "minitrace.errors",
    "Traces": "minitrace.testing.traces",
    "TracesFailure": "minitrace.testing.failures",
    "TracesTimeout": "minitrace.testing.failures",
    "capture": "minitrace.testing.capturing",
    "span": "minitrace.testing.shapes.shape",
}
__all__ = [
    "Event",
    "Inconclusive",
    "Link",
    "Server",
    "Span",
    "SpanList",
    "SpanShape",
    "TraceQLError",
    "Traces",
    "TracesFailure",
    "TracesTimeout",
    "capture",
    "span",
]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'minitrace.testing' has no attribute {name!r}")
