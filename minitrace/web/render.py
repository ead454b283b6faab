"""Templates to responses: a whole page for a browser, one block of it for htmx.

The id of an element that htmx replaces is the name of the block inside it, so the request itself
says which part to send, and a handler need not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from minitrace import present
from minitrace.config import MEMORY
from minitrace.errors import MinitraceError
from minitrace.web import static

THEMES = ("light", "dark", "auto")
THEME_COOKIE = "minitrace_theme"  # cookies ignore ports: a bare "theme" would be another dev server's as well
VARY = "HX-Request, HX-Request-Type, HX-Target"

env = Environment(
    loader=PackageLoader("minitrace.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
env.globals["static"] = static.url
env.filters |= {  # all figures for people come from `present`
    "age": present.age,
    "clock": present.clock,
    "duration": present.duration,
    "integer": present.integer,
    "iso": present.iso,
    "kind": present.kind,
    "moment": present.moment,
    "offset": present.offset,
    "printable": present.printable,
    "rate": present.rate,
    "share": present.share,
    "signed_duration": lambda ns: ("+" if ns > 0 else "−") + present.duration(abs(ns)),
    "size": present.size,
    "status": present.status,
    "time": present.time,
    "value": present.value,
    "value_type": present.value_type,
    "count": present.count,
    "hex": bytes.hex,
    "percent": lambda number: f"{number:.3f}".rstrip("0").rstrip(".") + "%",
}


@lru_cache(4096)
def _service(name: str, slot: int, number: int | None) -> str:
    label: str = env.get_template("_services.html").module.service(name, slot, number)  # type: ignore[attr-defined]
    return label


def service(name: str, slots: Mapping[str, int], number: int | None = None) -> str:
    """A service's name as its label, for templates; `slots` says which colour. A search page has hundreds."""
    return _service(name, slots.get(name, 0), number)


env.globals["service"] = service


async def render(request: Request, name: str, status_code: int = 200, **context: Any) -> Response:
    """The page, or only the block inside the element that htmx wants to replace."""
    template = env.get_template(name)
    block = template.blocks.get(target(request))
    context["root"] = request.scope.get("root_path", "")
    if block:
        html = "".join(block(template.new_context({**context, "partial": True})))
    else:
        html = template.render({**context, "partial": False, **await _frame(request)})
    return HTMLResponse(html, status_code, headers={"Vary": VARY})


def target(request: Request) -> str:
    """The id of the element that htmx wants to replace; "" where a whole page is wanted."""
    headers = request.headers
    if headers.get("HX-Request") != "true" or headers.get("HX-Request-Type") != "partial":
        return ""
    return headers.get("HX-Target", "").partition("#")[2]


def source(request: Request) -> str:
    """The id of the element that htmx asks for, "" for none."""
    return request.headers.get("HX-Source", "").partition("#")[2]


def go_to(request: Request, url: str) -> Response:
    """Send the browser to another page of ours, from within a part of one too."""
    url = request.scope.get("root_path", "") + url
    if target(request):
        return Response(status_code=204, headers={"HX-Redirect": url, "Vary": VARY})
    return RedirectResponse(url, 303, headers={"Vary": VARY})


async def _frame(request: Request) -> dict[str, Any]:
    """What the bar and the footer of every page show."""
    state = request.app.state
    theme = request.cookies.get(THEME_COOKIE, "")
    try:
        stats = await state.store.stats()
    except MinitraceError:  # the page itself may be about this error
        stats = None
    return {
        "theme": theme if theme in THEMES else "auto",
        "here": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        "stats": stats,
        "data_points": state.live.requests.totals.points,
        "database": "a temporary file" if state.config.db == MEMORY else str(state.store.path),
    }
