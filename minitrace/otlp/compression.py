"""A request body as it was before its Content-Encoding: gzip, deflate, zstd.

The caller's limit holds after decompression too: gzip packs a thousand to one.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import Protocol

from minitrace.errors import DecodeError, TooLarge

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PLAIN = ("", "identity", "none")
_RAW_DEFLATE = -zlib.MAX_WBITS
_ZLIB = zlib.MAX_WBITS
_GZIP = zlib.MAX_WBITS | 16


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """The body without its Content-Encoding: identity, gzip, deflate or zstd.

    Raises:
        DecodeError: the encoding is unknown, or the bytes are not in it, or are cut off.
        TooLarge: it unpacks to more than `limit` bytes.
    """
    check_encoding(encoding)
    if encoding in PLAIN:
        return body
    try:
        return _unpack(body, _OPENERS[encoding], encoding, limit)
    except (zlib.error, zstd.ZstdError, EOFError) as error:
        raise DecodeError(f"the body is not {encoding}, although it is said to be: {error}") from None


def check_encoding(encoding: str) -> None:
    """Raise DecodeError for a Content-Encoding that `decompress` does not know, before the body is read."""
    if encoding not in PLAIN and encoding not in _OPENERS:
        raise DecodeError(f"unsupported Content-Encoding {encoding[:40]!r}: use gzip, deflate, zstd or none")


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _unpack(body: bytes, opened: Callable[[bytes], _Decompressor], encoding: str, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while body:  # gzip and zstd files may be several, one after the other
        decompressor = opened(body)
        part = decompressor.decompress(body, limit - size + 1)
        size += len(part)
        if size > limit:
            raise TooLarge(too_large(limit, f"the body, once unpacked from {encoding},"))
        if not decompressor.eof:
            raise DecodeError(f"the {encoding} body is cut off")
        parts.append(part)
        body = decompressor.unused_data
    return b"".join(parts)


def _open_deflate(body: bytes) -> _Decompressor:
    # "deflate" is a zlib stream (RFC 9110, 8.4.1.2), but some clients send what is inside it
    is_zlib = len(body) > 1 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
    return zlib.decompressobj(_ZLIB if is_zlib else _RAW_DEFLATE)


_OPENERS: dict[str, Callable[[bytes], _Decompressor]] = {
    "gzip": lambda body: zlib.decompressobj(_GZIP),
    "x-gzip": lambda body: zlib.decompressobj(_GZIP),
    "deflate": _open_deflate,
    "zlib": lambda body: zlib.decompressobj(_ZLIB),
    "zstd": lambda body: zstd.ZstdDecompressor(),
}


def too_large(limit: int, what: str) -> str:
    """What to say of a body beyond the limit."""
    return f"{what} has more than {limit} bytes: send smaller batches, or start minitrace with --max-body-bytes"
