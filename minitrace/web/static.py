"""Packaged files to responses that a browser keeps for good.

The list of files is fixed and read once at import: a request names a key of a dictionary, never a
path. One digest over all of them is in every URL, so that a module's ``./other.js`` stays within
one version. Comments and indentation are for readers of the source, and stay here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from importlib.resources import files

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_FOLDER = files("minitrace.web").joinpath("static")
_VENDORED = _FOLDER.joinpath("vendor")


def without_comments(text: str) -> str:
    """A module of ours as a browser needs it: without indentation and comments, which have a space after "//"."""
    lines = (re.sub(r"(^|\s)// .*", "", line).strip() for line in text.splitlines())
    return "".join(f"{line}\n" for line in lines if line)


def without_spaces(text: str) -> str:
    """A style sheet of ours as a browser needs it: without comments, and without spaces that say nothing."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    text = re.sub(r"([{};,:]) | (?=[{}])", r"\1", " ".join(map(str.strip, text.splitlines())))
    return text.replace(";}", "}").strip()


_LEANER: dict[str, Callable[[str], str]] = {"js": without_comments, "css": without_spaces, "svg": str.strip}


def _own() -> dict[str, bytes]:
    files = ((file.name, file.name.rpartition(".")[2], file) for file in _FOLDER.iterdir())
    return {name: _LEANER[type_](file.read_text("utf-8")).encode() for name, type_, file in files if type_ in _TYPES}


FILES = _own() | {f"vendor/{file.name}": file.read_bytes() for file in _VENDORED.iterdir() if file.name.endswith(".js")}
VERSION = sha256(b"".join(FILES[name] for name in sorted(FILES))).hexdigest()[:16]


def url(name: str) -> str:
    """Where a packaged file is served; KeyError for one that is not packaged."""
    if name not in FILES:
        raise KeyError(name)
    return f"/_static/{VERSION}/{name}"


async def file(request: Request) -> Response:
    """A packaged file of this version."""
    name = request.path_params["name"]
    if request.path_params["version"] != VERSION or name not in FILES:
        raise HTTPException(404)
    return _response(name, "public, max-age=31536000, immutable")


async def favicon(request: Request) -> Response:
    """The icon, at the address that browsers and bookmarks keep."""
    return _response("favicon.svg", "public, max-age=86400")


def _response(name: str, cache: str) -> Response:
    media_type = _TYPES[name.rsplit(".", 1)[1]]
    return Response(FILES[name], media_type=media_type, headers={"Cache-Control": cache})


routes = [
    Route("/favicon.svg", favicon),
    Route("/_static/{version}/{name:path}", file),
]
