"""Request bodies: read within a limit, decompressed within the same limit."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from minitrace.errors import TooLarge
from minitrace.otlp.compression import PLAIN, decompress, too_large


async def read(request: Request, limit: int) -> bytes:
    """The body as sent, chunked or not.

    Raises:
        TooLarge: it has more than `limit` bytes.
    """
    length = request.headers.get("content-length", "0")
    if length.isascii() and length.isdigit() and int(length) > limit:
        raise TooLarge(too_large(limit, "the body"))
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise TooLarge(too_large(limit, "the body"))
        chunks.append(chunk)
    return b"".join(chunks)


async def unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """What `decompress` returns; in another thread, if there is anything to do."""
    return body if encoding in PLAIN else await asyncio.to_thread(decompress, body, encoding, limit)
