"""A trace as one HTML file that asks nobody for anything: waterfall, find and details from a disk or an attachment.

```
<meta CSP>         nothing may be fetched; only this script and this style sheet, known by their hashes
<style>            the page's style sheets
<body>             templates/_saved.html: headline, the timeline's tools, the tree as text until the script runs
<script #rows>     the rows document, as the page has it
<script #spans>    what else the spans carry, what repeats in numbers
<script module>    the page's modules, with saved.js in place of served.js
```

Telemetry is text in the template, which escapes it, or JSON without any "<".
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

from minitrace import present
from minitrace.analysis import repeats
from minitrace.analysis.drawing import draw
from minitrace.analysis.skew import shifts
from minitrace.analysis.tree import tree
from minitrace.model import Attributes, Event, Kind, Link, Resource, Scope, Severity, Span, Trace, Value, usable_time
from minitrace.store.matches import TraceSummary
from minitrace.web import static
from minitrace.web.address import Address
from minitrace.web.attributes import readable
from minitrace.web.bars import Axis
from minitrace.web.lines import Sheet
from minitrace.web.opened import Opened, opened_trace
from minitrace.web.pieces import dump
from minitrace.web.render import env
from minitrace.web.rows import CRITICAL, ERROR, SLOW
from minitrace.web.view import View

if TYPE_CHECKING:  # a page that is saved for a failed test does without
    from minitrace.web.log_lines import Line

T = TypeVar("T")

STYLES = ("minitrace.css", "summary.css", "trace.css", "span.css")
MODULES = ("rows.js", "waterfall.js", "trace.js", "saved.js")  # each imports only from those before it
MOST_RECORDS = 1_000  # log records in a file: some 200 kB
BODY_CHARACTERS = 2_000
ITEMS_A_PIECE = 200  # spans, or attributes: some 10 ms of work, most of it in Python
_IMPORT = re.compile(r'import\{([^}]*)\}from "\./([\w-]+\.js)";')
_EXPORT = re.compile(r"(?:^|(?<=[;}\n]))export (?=(?:async )?(?:const|class|function) )")
_ESCAPED = {"<": "\\u003c", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_HEAD = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<style>{style}</style>
"""


def document(
    summary: TraceSummary,
    opened: Opened,
    spans: Sequence[Span],
    *,
    text: str,
    slots: Mapping[str, int],
    now_ns: int,
    said: Sequence[Line] = (),
) -> Iterator[str]:
    """The file, piece by piece, none of which holds Python's lock for long.

    `text` is the tree for those who have no scripts, `slots` are the colours of services, `said` the log records.
    """
    yield _HEAD.format(policy=policy(), style=style())
    yield _body(summary, opened, text, slots, now_ns)
    yield '\n<script type="application/json" id="rows">'
    yield _embedded(opened.rows.json().decode())
    yield '</script>\n<script type="application/json" id="spans">'
    yield from map(_embedded, spans_json(spans, opened.rows.start_ns, said))
    yield f'</script>\n<script type="module">{script()}</script>\n</body>\n</html>\n'


def standing_alone(trace: Trace, now_ns: int) -> Iterator[str]:
    """The file of a trace that is in no store. Its services have their colours in the order of their appearance."""
    service, name = (trace.root.span.service, trace.root.span.name) if trace.root else (None, None)
    span_count, error_count = len(trace.spans), trace.error_count
    summary = TraceSummary(trace.trace_id, trace.start_ns, trace.duration_ns, service, name, span_count, error_count)
    slots = {name: slot for slot, name in enumerate(trace.services)}
    outline = tree(trace, shifts(trace))
    text = draw(outline, runs=repeats.runs(outline))
    opened = opened_trace(Trace(trace.trace_id, trace.spans), slots)
    return document(summary, opened, trace.spans, text=text, slots=slots, now_ns=now_ns)


@cache
def policy() -> str:
    """A Content-Security-Policy under which our script and style sheet are all that works."""
    hashes = [b64encode(sha256(text.encode()).digest()).decode() for text in (script(), style())]
    return (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def style() -> str:
    """The style sheets as one."""
    return "".join(static.FILES[name].decode() for name in STYLES)


@cache
def script() -> str:
    """The modules as one: each a function that returns what others import from it, so that no names clash."""
    texts = {name: static.FILES[name].decode() for name in MODULES}
    asked: dict[str, set[str]] = defaultdict(set)
    for text in texts.values():
        for names, module in _IMPORT.findall(text):
            asked[module].update(re.findall(r"\w+", names))
    parts = [_as_function(name, text, sorted(asked[name])) for name, text in texts.items()]
    return "\n".join(["const modules = {};", *parts])


def _as_function(name: str, text: str, exported: Sequence[str]) -> str:
    inner = _EXPORT.sub("", _IMPORT.sub(r'const { \1 } = modules["\2"];', text))
    return f'modules["{name}"] = (() => {{\n{inner}\nreturn {{ {", ".join(exported)} }};\n}})();'


def _embedded(text: str) -> str:
    """JSON that can stand in a script element."""
    for sign, escape in _ESCAPED.items():
        text = text.replace(sign, escape)
    return text


def _body(summary: TraceSummary, opened: Opened, text: str, slots: Mapping[str, int], now_ns: int) -> str:
    """The headline and the timeline without rows, which the script makes."""
    rows = opened.rows
    address = Address("")
    bits = {"errors": ERROR, "critical": CRITICAL, "slow": SLOW}
    return env.get_template("_saved.html").render(
        summary=summary,
        headline=opened.headline,
        trace_hex=summary.trace_id.hex(),
        text=text,
        now_ns=now_ns,
        slots=slots,
        base="",
        url=lambda **changes: "#" + address.url(**changes).removeprefix("?"),
        given=lambda name: "",
        view=View(),
        inline="",
        sheet=Sheet([], 0, 1, 1, Axis(rows).labels, 0),
        find_problem="",
        log_count=0,  # the lane asks a server
        span_hex="",
        counts={name: sum(1 for flags in rows.flags if flags & bit) for name, bit in bits.items()},
        kinds=sorted(set(rows.kind)),
        kind_names={kind.value: kind.name.lower() for kind in Kind},
    )


def spans_json(spans: Sequence[Span], start_ns: int, said: Sequence[Line] = ()) -> Iterator[str]:
    """What spans carry, piece by piece: attributes by their number in `pairs`, groups that spans share in `shared`.

    ```
    {"spans": [{"id": "00f0…", "parent": …, "name": …, "service": …, "kind": "server", "error": 1, "message": …,
                "start": ns since the trace's start, "length": ns, "groups": [group or number, …]}, …],
     "shared": [["Resource", [entry, …]], …],
     "pairs": [[0, "/cart"], [1, "200", "int"], …],
     "keys": ["http.route", "http.status", …]}
    entry: {"title": …, "remark": …, "to": span id, "pairs": [0, 1], "note": …}; a group has a title and entries
    ```

    What is empty is left out, and the type of a string. Log records are a group of their span; those of no span here
    are one of the root.
    """
    coded = _Coded(start_ns, _Said(said, spans))
    yield '{"spans":'
    yield from _list(spans, coded.span)
    yield f',"shared":{dump(coded.shared)},"keys":{dump(list(coded.keys))},"pairs":'
    yield from _list(coded.pairs, list)
    yield "}"


class _Said:
    """Log records by their spans; of too many those that tell of trouble, then the first."""

    def __init__(self, said: Sequence[Line], spans: Sequence[Span]) -> None:
        places = sorted(range(len(said)), key=lambda place: (said[place].record.severity < Severity.WARN, place))
        here = {span.span_id for span in spans}
        self.left_out = len(said) - MOST_RECORDS
        self.root = next((span for span in spans if not span.parent_id), spans[0] if spans else None)
        self.by_span: dict[bytes, list[Line]] = defaultdict(list)
        for place in sorted(places[:MOST_RECORDS]):
            span_id = said[place].record.span_id
            self.by_span[span_id if span_id in here else b""].append(said[place])


class _Coded:
    """Spans as JSON objects, with tables of what many of them say."""

    def __init__(self, start_ns: int, said: _Said) -> None:
        self._start_ns = start_ns
        self._said = said
        self._numbers: dict[tuple[str, type, str], int] = {}
        self._places: dict[int, int] = {}  # of resources and scopes, which spans share as objects
        self.keys: dict[str, int] = {}
        self.pairs: list[list[Any]] = []
        self.shared: list[Any] = []

    def span(self, span: Span) -> dict[str, Any]:
        """A span with all its groups."""
        has_start = usable_time(span.start_ns)
        fields = _full(
            id=span.span_id.hex(),
            parent=span.parent_id.hex(),
            name=span.name,
            service=span.service,
            kind=present.kind(span.kind),
            error=int(span.is_error),
            message=span.status.message,
            groups=list(self._groups(span)),
        )
        return fields | {"start": span.start_ns - self._start_ns if has_start else None, "length": span.duration_ns}

    def _groups(self, span: Span) -> Iterator[Any]:
        yield ["Attributes", [self._entry(span.attributes, span.dropped_attributes, note=_state(span.trace_state))]]
        if events := [*(self._event(event, span) for event in span.events), *_lost(span.dropped_events, "event")]:
            yield ["Events", events]
        if links := [*(self._link(link, span) for link in span.links), *_lost(span.dropped_links, "link")]:
            yield ["Links", links]
        yield from self._logs(span)
        for part in (span.resource, span.scope):
            if id(part) not in self._places:
                self._places[id(part)] = len(self.shared)
                self.shared.append(self._origin(part))
            yield self._places[id(part)]

    def _logs(self, span: Span) -> Iterator[Any]:
        said = self._said
        if lines := said.by_span.get(span.span_id):
            yield ["Logs", [self._line(line, span) for line in lines]]
        if span is not said.root:
            return
        if lines := said.by_span.get(b""):
            yield ["Logs of no span here", [self._line(line, span) for line in lines]]
        if said.left_out > 0:
            left_out = present.count(said.left_out, "log record")
            yield ["Logs that are not in this file", [{"note": f"{left_out} of the trace: open it in minitrace"}]]

    def _line(self, line: Line, span: Span) -> dict[str, Any]:
        record = line.record
        remark = f"{present.offset(record.time_ns, span.start_ns)} {line.level}".strip()
        body = line.whole if len(line.whole) <= BODY_CHARACTERS else f"{line.whole[:BODY_CHARACTERS]}…"
        attributes = {"body": body, **record.attributes} if body else record.attributes
        return self._entry(attributes, record.dropped_attributes, title=line.body, remark=remark)

    def _origin(self, part: Resource | Scope) -> Any:
        if isinstance(part, Resource):
            return ["Resource", [self._entry(part.attributes, part.dropped_attributes, note=part.schema_url)]]
        title = f"{part.name} {part.version}".strip()
        return ["Scope", [self._entry(part.attributes, part.dropped_attributes, title=title, note=part.schema_url)]]

    def _event(self, event: Event, span: Span) -> dict[str, Any]:
        title, remark = event.name or "(no name)", present.offset(event.time_ns, span.start_ns)
        return self._entry(event.attributes, event.dropped_attributes, title=title, remark=remark)

    def _link(self, link: Link, span: Span) -> dict[str, Any]:
        title = f"{link.trace_id.hex()} {link.span_id.hex()}"
        to = link.span_id.hex() if link.trace_id == span.trace_id else ""
        note = _state(link.trace_state)
        return self._entry(link.attributes, link.dropped_attributes, title=title, to=to, note=note)

    def _entry(self, attributes: Attributes, dropped: int, *, note: str = "", **texts: str) -> dict[str, Any]:
        pairs = [self._pair(key, value) for key, value in attributes.items()]
        notes = [note] if note else []
        notes += [entry["note"] for entry in _lost(dropped, "attribute")]
        return _full(**texts, pairs=pairs, note=". ".join(notes))

    def _pair(self, key: str, value: Value) -> int:
        known = (key, type(value), value if isinstance(value, str) else present.value(value))
        number = self._numbers.get(known)
        if number is None:
            number = self._numbers[known] = len(self.pairs)
            types = [] if isinstance(value, str) else [present.value_type(value)]
            self.pairs.append([self.keys.setdefault(key, len(self.keys)), readable(key, value), *types])
        return number


def _lost(count: int, noun: str) -> list[dict[str, str]]:
    return [{"note": f"{present.count(count, noun)} dropped by the sender"}] if count else []


def _state(trace_state: str) -> str:
    return f"trace state {trace_state}" if trace_state else ""


def _full(**fields: Any) -> dict[str, Any]:
    """The fields that say something."""
    return {name: value for name, value in fields.items() if value}


def _list(items: Sequence[T], coded: Callable[[T], Any]) -> Iterator[str]:
    """A list as JSON."""
    yield "["
    for at in range(0, len(items), ITEMS_A_PIECE):
        part = [coded(item) for item in items[at : at + ITEMS_A_PIECE]]
        yield ("," if at else "") + dump(part)[1:-1]
    yield "]"
