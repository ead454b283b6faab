"""Traces that are hard to show, each by its name: what a page must render sensibly."""

from __future__ import annotations

from collections.abc import Callable

from minitrace.model import Event, Kind, Link, Resource, Span, Status, StatusCode
from tests.samples import span, trace_id

HOUR_MS = 3_600_000
FAILED = Status(StatusCode.ERROR, "it broke")


def one_span() -> list[Span]:
    """A script that made one."""
    return [span("backup", trace="one span", duration_ms=1234)]


def thirty_roots() -> list[Span]:
    """Thirty requests that share a trace id, two spans each."""
    return [
        one
        for n in range(30)
        for one in (
            span(f"GET /page/{n}", id=f"root {n}", trace="thirty roots", start_ms=n * 50, duration_ms=40),
            span("render", f"root {n}", id=f"render {n}", trace="thirty roots", start_ms=n * 50 + 5, duration_ms=20),
        )
    ]


def deep() -> list[Span]:
    """A recursion two thousand calls deep."""
    return [
        span(
            f"descend {n}",
            f"descend {n - 1}" if n else "",
            trace="deep",
            start_ms=n * 0.1,
            duration_ms=500 - n * 0.2,
            service=f"level-{n % 3}",
            status=FAILED if n == 1999 else Status(),
        )
        for n in range(2000)
    ]


def wide() -> list[Span]:
    """A parent with twenty thousand children, of two kinds."""
    children = [
        span(
            "INSERT row" if n % 2 else f"file {n}",
            "import",
            id=f"child {n}",
            trace="wide",
            start_ms=n * 0.5,
            duration_ms=0.4,
            service="database" if n % 2 else "disk",
        )
        for n in range(20_000)
    ]
    return [span("import", trace="wide", duration_ms=10_000), *children]


def two_days() -> list[Span]:
    """A job of two days with a millisecond in it that matters."""
    return [
        span("reindex", trace="two days", duration_ms=48 * HOUR_MS, service="indexer"),
        span("wait", "reindex", trace="two days", start_ms=HOUR_MS, duration_ms=46 * HOUR_MS, service="indexer"),
        span("flush", "wait", trace="two days", start_ms=20 * HOUR_MS, duration_ms=1, service="disk", status=FAILED),
    ]


def no_duration() -> list[Span]:
    """Spans that all took no time at all, at one moment."""
    spans = [
        span(f"mark {n}", "start", trace="no duration", duration_ms=0, events=[Event(1_700_000_000_000_000_000, "now")])
        for n in range(8)
    ]
    return [span("start", trace="no duration", duration_ms=0), *spans]


def sixty_services() -> list[Span]:
    """A request through sixty services."""
    return [
        span(
            f"call {n}",
            f"call {(n - 1) // 2}" if n else "",
            trace="sixty services",
            service=f"service-{n:02}",
            start_ms=n * 3,
            duration_ms=400 - n * 5,
            kind=Kind.SERVER,
        )
        for n in range(60)
    ]


def strange_names() -> list[Span]:
    """Names of a thousand characters, from right to left, of emoji, of nothing, with controls in them."""
    names = [
        "GET /" + "very-long-segment/" * 56,
        "x" * 1000,
        "حساب الطلب رقم ٥ ثم الدفع",
        "חיוב כרטיס אשראי (visa) 42",
        "🛒 → 💳 → 📦 👩‍👩‍👧‍👦 🇩🇪",
        "",
        "a\tb\nc\x1b[31mred\u202egnp.exe",
        "名前が長い操作の例" * 12,
        "<b>bold</b> & \"quoted\" 'text'",
        "e\u0301\u0301\u0301\u0301\u0301\u0301 zalgo",
    ]
    rest = [
        span(
            name,
            "names",
            id=f"name {n}",
            trace="strange names",
            start_ms=n * 8,
            duration_ms=20,
            service=(name or "unnamed")[:300],
            attributes={name or "empty": name, "plain": "value"},
        )
        for n, name in enumerate(names)
    ]
    return [span("names", trace="strange names", duration_ms=100), *rest]


def all_orphans() -> list[Span]:
    """Spans of one trace whose parents were all not received; some share theirs."""
    return [
        span(
            f"task {n}", f"lost {n % 5}", trace="all orphans", start_ms=n * 4, duration_ms=10, service=f"worker-{n % 3}"
        )
        for n in range(20)
    ]


def everything() -> list[Span]:
    """One of each thing that a row can show."""
    name = "everything"
    far = Resource({"service.name": "bank", "host.name": "elsewhere"})
    exception = Event(
        1_700_000_000_400_000_000,
        "exception",
        {"exception.type": "CardError", "exception.message": "declined", "exception.stacktrace": "Traceback:\n  x"},
    )
    return [
        span("POST /checkout", trace=name, service="web", duration_ms=1000, kind=Kind.SERVER,
             attributes={"http.request.method": "POST", "url.path": "/checkout", "http.response.status_code": 500}),
        span("load cart", "POST /checkout", trace=name, service="web", start_ms=5, duration_ms=40),
        *(
            span("SELECT stock", "POST /checkout", id=f"select {n}", trace=name, service="stock", kind=Kind.CLIENT,
                 start_ms=60 + n * 12, duration_ms=9,
                 attributes={"db.system.name": "sqlite", "db.query.text": f"SELECT * FROM stock WHERE id = {n}"})
            for n in range(14)
        ),
        span("charge", "POST /checkout", trace=name, service="web", start_ms=300, duration_ms=400, kind=Kind.CLIENT,
             status=FAILED, events=[exception]),
        span("charge card", "charge", trace=name, resource=far, start_ms=5000, duration_ms=200, kind=Kind.SERVER),
        span("send mail", "POST /checkout", trace=name, service="mail", start_ms=720, duration_ms=600,
             kind=Kind.PRODUCER, links=[Link(trace_id("one span"), b"12345678")]),
        span("lost child", "nobody", trace=name, service="audit", start_ms=750, duration_ms=30),
        span("mark", "POST /checkout", trace=name, service="web", start_ms=900, duration_ms=0),
    ]  # fmt: skip


TRACES: dict[str, Callable[[], list[Span]]] = {
    "one span": one_span,
    "thirty roots": thirty_roots,
    "deep": deep,
    "wide": wide,
    "two days": two_days,
    "no duration": no_duration,
    "sixty services": sixty_services,
    "strange names": strange_names,
    "all orphans": all_orphans,
    "everything": everything,
}
