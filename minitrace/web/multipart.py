"""A form with files, as browsers post it: multipart/form-data."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from minitrace.errors import DecodeError

MAX_FILES = 1000
_NO_FORM = "this is not a form with files: send multipart/form-data"


@dataclass(frozen=True, slots=True)
class Part:
    """A file of the form, under the name that it had."""

    filename: str
    content: bytes


async def read_files(body: bytes, content_type: str) -> list[Part]:
    """The files of a form, in their order; those that were chosen, not fields left empty.

    Raises:
        DecodeError: it is no such form, was cut off, or has too many files.
    """
    if not content_type.lower().startswith("multipart/form-data"):
        raise DecodeError(_NO_FORM)
    if not body.rstrip().endswith(b"--"):  # the parser would leave the last file out and say nothing
        raise DecodeError("the form was cut off")
    parser = MultiPartParser(Headers({"content-type": content_type}), _once(body), max_files=MAX_FILES)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise DecodeError(f"{_NO_FORM} ({error.message.rstrip('.')})") from None
    try:
        files = [one for _, one in form.multi_items() if isinstance(one, UploadFile)]
        return [Part(one.filename, await one.read()) for one in files if one.filename]
    finally:
        await form.close()


async def _once(body: bytes) -> AsyncGenerator[bytes]:
    yield body
