"""Tempo's tag API: what Grafana suggests while a query is typed.

| path                                   | answers                                                         |
|----------------------------------------|-----------------------------------------------------------------|
| `/api/search/tags`                     | `{"tagNames": ["http.route"]}`                                  |
| `/api/v2/search/tags`                  | `{"scopes": [{"name": "span", "tags": ["http.route"]}]}`        |
| `/api/search/tag/{name}/values`        | `{"tagValues": ["/cart"]}`                                      |
| `/api/v2/search/tag/{attribute}/values`| `{"tagValues": [{"type": "string", "value": "/cart"}]}`         |

`q` is a filter that is not finished yet: what can be read of it narrows the answer down, and it is never an error.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from minitrace.errors import DecodeError, TraceQLError
from minitrace.model import MAX_TIME_NS, Kind, StatusCode
from minitrace.store.store import Store
from minitrace.store.tags import MOST_VALUES, Among
from minitrace.traceql.ast import Attribute, Intrinsic, Value, static_text
from minitrace.traceql.lenient import lenient
from minitrace.traceql.lexer import tokens
from minitrace.traceql.names import INTRINSIC_NAMES
from minitrace.traceql.reader import Reader
from minitrace.web.parameters import read_number, read_time
from minitrace.web.wanted import while_wanted

INTRINSIC = "intrinsic"
SCOPES = ("resource", "span", "event", "link", "instrumentation", INTRINSIC)  # in the order of the answer
# Numbers of the nested set are no choice
INTRINSIC_TAGS = [name for name in INTRINSIC_NAMES if not name.startswith(("nestedSet", "span:childCount"))]
_TYPES = {str: "string", bool: "bool", int: "int", float: "float", StatusCode: "keyword", Kind: "keyword"}


@while_wanted
async def tag_names(request: Request) -> Response:
    """``GET /api/search/tags``: names of attributes, each once; of intrinsics where their scope is asked for."""
    found = await _tags(request)
    if request.query_params.get("scope") != INTRINSIC:
        found.pop(INTRINSIC, None)
    names = dict.fromkeys(name for names in found.values() for name in names)
    return JSONResponse({"tagNames": list(names), "metrics": {}})


@while_wanted
async def tag_scopes(request: Request) -> Response:
    """``GET /api/v2/search/tags``: the same by scope, with intrinsics."""
    scopes = [{"name": scope, "tags": names} for scope, names in (await _tags(request)).items()]
    return JSONResponse({"scopes": scopes, "metrics": {}})


@while_wanted
async def value_texts(request: Request) -> Response:
    """``GET /api/search/tag/{name}/values``: by the bare name of an attribute or intrinsic."""
    name = request.path_params["tag"]
    field = Intrinsic(INTRINSIC_NAMES[name]) if name in INTRINSIC_NAMES else Attribute(None, name)
    texts = dict.fromkeys(map(_text, await _values(request, field)))
    return JSONResponse({"tagValues": list(texts)})


@while_wanted
async def values(request: Request) -> Response:
    """``GET /api/v2/search/tag/{attribute}/values``: of an attribute or intrinsic as it is written in TraceQL."""
    found = await _values(request, _read_field(request.path_params["tag"]))
    answer = [{"type": _TYPES[type(value)], "value": _text(value)} for value in found]
    return JSONResponse({"tagValues": answer, "metrics": {}})


routes = [
    Route("/api/search/tags", tag_names),
    Route("/api/v2/search/tags", tag_scopes),
    Route("/api/search/tag/{tag:path}/values", value_texts),
    Route("/api/v2/search/tag/{tag:path}/values", values),
]


async def _tags(request: Request) -> dict[str, list[str]]:
    """Names by scope, of the scopes that are asked for and have some."""
    scope = request.query_params.get("scope") or "none"
    if scope not in ("none", *SCOPES):
        raise DecodeError(f"scope={scope[:40]!r} is none of none, {', '.join(SCOPES)}")
    limit = read_number(request.query_params, "limit", 0) or None
    store: Store = request.app.state.store
    found = {} if scope == INTRINSIC else await store.tags(_among(request))
    found[INTRINSIC] = INTRINSIC_TAGS
    return {one: found[one][:limit] for one in SCOPES if one in found and scope in ("none", one)}


async def _values(request: Request, field: Attribute | Intrinsic) -> list[Value]:
    limit = read_number(request.query_params, "limit", 0)
    store: Store = request.app.state.store
    return await store.tag_values(field, _among(request), limit=min(limit or MOST_VALUES, MOST_VALUES))


def _among(request: Request) -> Among:
    parameters = request.query_params
    start_ns, end_ns = read_time(parameters, "start"), read_time(parameters, "end")
    return Among(lenient(parameters.get("q", "")), start_ns or 0, end_ns or MAX_TIME_NS)


def _read_field(text: str) -> Attribute | Intrinsic:
    """An attribute or intrinsic. Raises TraceQLError."""
    first, *rest = tokens(text)
    expected = "an attribute or an intrinsic, such as span.http.route or name"
    if isinstance(first.node, Attribute | Intrinsic):
        if rest[0].kind == "end":
            return first.node
        raise TraceQLError(f"expected {expected}, alone", text, rest[0].start, rest[-1].end)
    raise Reader(text, [first, *rest]).unexpected(expected)  # knows what a bare word may have meant


def _text(value: Value) -> str:
    return value if isinstance(value, str) else static_text(value)
