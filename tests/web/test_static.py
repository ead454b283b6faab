"""Packaged files: served for good, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from minitrace.store.store import Store
from minitrace.web import static
from tests.samples import span, trace_id


@pytest.mark.parametrize("name", static.FILES)
async def test_a_packaged_file_is_kept_by_the_browser(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(static.url(name))
    assert (answer.status_code, answer.content) == (200, static.FILES[name])
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("minitrace.css", "text/css; charset=utf-8"),
        ("page.js", "text/javascript; charset=utf-8"),
        ("favicon.svg", "image/svg+xml"),
    ],
)
async def test_a_file_has_its_type(client: httpx.AsyncClient, name: str, media_type: str) -> None:
    assert (await client.get(static.url(name))).headers["content-type"] == media_type


async def test_the_icon_has_an_address_that_stays(client: httpx.AsyncClient) -> None:
    answer = await client.get("/favicon.svg")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
    assert answer.headers["cache-control"] == "public, max-age=86400"


@pytest.mark.parametrize(
    "path",
    [
        f"/_static/{static.VERSION}/",
        f"/_static/{static.VERSION}/nothing.css",
        f"/_static/{static.VERSION}/../static.py",
        f"/_static/{static.VERSION}/%2e%2e/static.py",
        f"/_static/{static.VERSION}/..%2fstatic.py",
        f"/_static/{static.VERSION}/..%5cstatic.py",
        f"/_static/{static.VERSION}/..;/static.py",
        f"/_static/{static.VERSION}/minitrace.css%00",
        f"/_static/{static.VERSION}//etc/passwd",
        f"/_static/{static.VERSION}/vendor/LICENSE.htmx",
        f"/_static/{static.VERSION}/MINITRACE.CSS",
        "/_static/0000000000000000/minitrace.css",
        "/_static/minitrace.css",
    ],
)
async def test_anything_else_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


def test_a_template_cannot_name_a_file_that_is_not_packaged() -> None:
    with pytest.raises(KeyError):
        static.url("nothing.css")


def test_modules_are_served_without_comments_and_spaces_that_say_nothing() -> None:
    text = "// why\nfunction a() {\n  // because\n  return [1, 2 + +b]; // one\n}\n\n"
    assert static.lean_module(text) == "function a(){return[1,2 + +b];}\n"


def test_texts_of_a_module_are_served_as_they_are() -> None:
    assert static.lean_module('a = "b, \\" { c }" + `d = ${ e } ;`;\n') == 'a="b, \\" { c }" + `d = ${ e } ;`;'


def test_no_module_of_ours_has_a_text_within_a_text_or_a_pattern_with_spaces() -> None:
    """Their spaces would be lost."""
    for file in (Path(static.__file__).parent / "static").glob("*.js"):
        for text, _ in static.TEXT_OR_SIGNS.findall(file.read_text()):
            assert text.count("${") == len(re.findall(r"\$\{(?:[^{}]|\{[^{}]*\})*\}", text)), f"{file.name}: {text}"
        assert not re.search(r"[(=,:] ?/[^/ \n]+ [^/\n]*/[a-z]*[.,);]", file.read_text()), file.name


def test_no_module_of_ours_has_a_text_that_looks_like_a_comment() -> None:
    """It would be lost."""
    for file in (Path(static.__file__).parent / "static").glob("*.js"):
        for line in file.read_text().splitlines():
            before = re.split(r"(?:^|\s)// ", line)[0]
            assert all(before.count(quote) % 2 == 0 for quote in '"`'), f"{file.name}: {line}"


def test_no_module_of_ours_has_a_text_of_several_lines() -> None:
    """Its indentation would be lost."""
    for file in (Path(static.__file__).parent / "static").glob("*.js"):
        assert all(line.count("`") % 2 == 0 for line in file.read_text().splitlines()), file.name


def test_style_sheets_are_served_without_spaces_that_say_nothing() -> None:
    text = "/* why\nnot */\n@layer page {\n  .a :is(b, c) { margin: 0 1px; width: calc(1px + 2px); }\n}\n"
    assert static.lean_sheet(text) == "@layer page{.a :is(b,c){margin:0 1px;width:calc(1px + 2px)}}"


async def test_the_page_of_a_trace_loads_no_more_of_ours_than_agreed(client: httpx.AsyncClient, store: Store) -> None:
    """40 kB of JavaScript, 20 kB of style sheets, with what the modules import."""
    await store.add([span("a", trace="t")])
    page = (await client.get(f"/trace/{trace_id('t').hex()}")).text
    loaded = [name for name in static.FILES if f"/{name}" in page and not name.startswith("vendor/")]
    assert {"page.js", "served.js", "trace.js", "rows.js", "waterfall.js"} == {n for n in loaded if n.endswith(".js")}
    sizes = {kind: sum(len(static.FILES[n]) for n in loaded if n.endswith(kind)) for kind in (".js", ".css")}
    assert sizes[".js"] <= 40_000
    assert sizes[".css"] <= 20_000
