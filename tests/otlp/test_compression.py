"""Bodies: every encoding, whole, cut off, and far too large once unpacked."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable

import pytest

from minitrace.errors import DecodeError, TooLarge
from minitrace.otlp.compression import decompress

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = b"a span, " * 1000


def zstd_without_size(content: bytes) -> bytes:
    """A frame whose header does not say how large the content is, as streaming clients send."""
    compressor = zstd.ZstdCompressor()
    return compressor.compress(content) + compressor.flush()


def raw_deflate(content: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(content) + compressor.flush()


PACKERS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("zlib", zlib.compress),
    ("zstd", zstd.compress),
    ("zstd", zstd_without_size),
]


@pytest.mark.parametrize(("encoding", "pack"), PACKERS)
def test_what_was_packed_is_unpacked(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    assert decompress(pack(TEXT), encoding, len(TEXT)) == TEXT


@pytest.mark.parametrize(("encoding", "pack"), PACKERS)
def test_one_byte_over_the_limit_is_too_large(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(TooLarge, match="7999 bytes"):
        decompress(pack(TEXT), encoding, len(TEXT) - 1)


@pytest.mark.parametrize(("encoding", "pack"), PACKERS)
@pytest.mark.parametrize("kept", [1, 10, -1])
def test_a_body_that_is_cut_off_is_refused(encoding: str, pack: Callable[[bytes], bytes], kept: int) -> None:
    with pytest.raises(DecodeError):
        decompress(pack(TEXT)[:kept], encoding, 10_000)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zlib", "zstd"])
def test_a_body_that_is_not_packed_at_all_is_refused(encoding: str) -> None:
    with pytest.raises(DecodeError, match=encoding):
        decompress(b"plain text, no compression", encoding, 10_000)


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
def test_several_members_are_one_body(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    assert decompress(pack(b"one ") + pack(b"two"), encoding, 100) == b"one two"


def test_the_limit_holds_over_all_members() -> None:
    with pytest.raises(TooLarge):
        decompress(gzip.compress(b"12345") * 3, "gzip", 14)


@pytest.mark.parametrize("encoding", ["", "identity", "none"])
def test_an_unpacked_body_is_itself(encoding: str) -> None:
    assert decompress(b"x", encoding, 1) == b"x"


def test_an_unknown_encoding_is_named_with_those_we_know() -> None:
    with pytest.raises(DecodeError, match="unsupported Content-Encoding 'br': use gzip, deflate, zstd or none"):
        decompress(b"x", "br", 1)
