"""Forms with files, as httpx posts them."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.errors import DecodeError
from minitrace.web.multipart import MAX_FILES, Part, read_files

FORM = "multipart/form-data; boundary=b"
names = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters='\\"'), min_size=1, max_size=9
)
FILE = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nx\r\n'
parts = st.lists(st.tuples(names, st.binary(max_size=99) | st.sampled_from([b"\r\n", b"--", b"\r\n--x", b"\r\n\r\n"])))


def read(body: bytes, content_type: str = FORM) -> list[Part]:
    return asyncio.run(read_files(body, content_type))


@given(parts)
def test_files_are_what_was_posted(files: list[tuple[str, bytes]]) -> None:
    if files:
        request = httpx.Request("POST", "http://a", files=[("file", one) for one in files])
        assert read(request.read(), request.headers["content-type"]) == [Part(*one) for one in files]


def test_fields_and_a_choice_left_empty_are_no_files() -> None:
    request = httpx.Request("POST", "http://a", data={"name": "größe"}, files={"file": ("a.json", b"\x00\r\n--")})
    assert read(request.read(), request.headers["content-type"]) == [Part("a.json", b"\x00\r\n--")]
    assert read(FILE.replace(b'filename="a"', b'filename=""') + b"--b--") == []


@pytest.mark.parametrize(
    "body", [b"", b"--b", FILE, FILE + b"--b", b"A: b\r\n\r\nx\r\n--c--", b"--b\r\n\r\nx\r\n--b--"], ids=range(6)
)
def test_what_is_no_form_or_was_cut_off_is_refused(body: bytes) -> None:
    with pytest.raises(DecodeError, match="form"):
        read(body)


def test_more_files_than_anybody_chooses_are_refused() -> None:
    assert len(read(FILE * MAX_FILES + b"--b--")) == MAX_FILES
    with pytest.raises(DecodeError, match="Too many files"):
        read(FILE * (MAX_FILES + 1) + b"--b--")


@pytest.mark.parametrize(
    "content_type", ["", "application/json", "multipart/form-data", "multipart/form-data; boundary="]
)
def test_what_says_no_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(DecodeError, match="send multipart/form-data"):
        read(FILE + b"--b--", content_type)


@given(st.binary())
def test_any_bytes_are_a_form_or_refused(body: bytes) -> None:
    for content in (body, b"--b\r\n" + body + b"\r\n--b--"):
        with suppress(DecodeError):
            read(content)
