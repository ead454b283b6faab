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
# In a module: a text, which stays as it is, or signs that need no space beside them. "+" and "-" may need one.
TEXT_OR_SIGNS = re.compile(r"""("(?:\\.|[^"\\])*"|`(?:\\.|[^`\\])*`)| ?([{}()[\],;:?=!<>*|&]+) ?""")


def lean_module(text: str) -> str:
    """A module of ours as a browser needs it: no indentation, no comments, no spaces and line ends that say nothing.

    It is read line by line: comments have a space after "//", no text has several lines or another text inside.
    """
    lines = (re.sub(r"(^|\s)// .*", "", line).strip() for line in text.splitlines())
    lean = (TEXT_OR_SIGNS.sub(lambda found: found[1] or found[2], line) for line in lines if line)
    return "".join(line if line[-1] in "{([,;" else f"{line}\n" for line in lean)


def lean_sheet(text: str) -> str:
    """A style sheet of ours as a browser needs it: without comments, and without spaces that say nothing."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    text = re.sub(r"([{};,:]) | (?=[{}])", r"\1", " ".join(map(str.strip, text.splitlines())))
    return text.replace(";}", "}").strip()


_LEANER: dict[str, Callable[[str], str]] = {"js": lean_module, "css": lean_sheet, "svg": str.strip}


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
