"""Posted forms: what their fields say, and the way back to where they were."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from minitrace.web import body

MAX_BYTES = 4096


async def read_fields(request: Request, most_bytes: int = MAX_BYTES) -> dict[str, str]:
    """The fields of a posted form, of each the first. Raises TooLarge."""
    fields = parse_qs((await body.read(request, most_bytes)).decode("latin-1"))
    return {name: values[0] for name, values in fields.items()}


def go_back(request: Request, fields: Mapping[str, str], home: str) -> Response:
    """To where the form was (its field `next`), as far as that is a page of ours; else `home`."""
    back = fields.get("next", "")
    return RedirectResponse(back if _is_own_path(back) else request.scope.get("root_path", "") + home, 303)


def _is_own_path(text: str) -> bool:
    """Whether a Location of this text stays here: browsers read "//host" and "/\\host" as another one."""
    return text.startswith("/") and text[1:2] not in ("/", "\\") and text.isprintable()
