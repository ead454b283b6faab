"""Pages as tests look at them: their elements in order, and the text that a person reads."""

from __future__ import annotations

import asyncio
from html.parser import HTMLParser

import httpx

from tests.samples import trace_id

HTML = {"Accept": "text/html"}
VOID = {"meta", "link", "input", "br", "wbr", "hr", "img", "rect", "path", "line", "circle"}


class Element:
    """A start tag: its name, attributes, and the elements it stands in."""

    def __init__(self, tag: str, attributes: dict[str, str], parents: tuple[Element, ...]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.parents = parents
        self.text = ""

    @property
    def shape(self) -> tuple[str, tuple[str, ...]]:
        """What the template wrote: the tag and the names of its attributes."""
        return self.tag, tuple(self.attributes)

    def inside(self, tag: str) -> bool:
        """Whether it stands in an element of this tag."""
        return any(element.tag == tag for element in self.parents)

    @property
    def is_ignored_by_htmx(self) -> bool:
        """Whether htmx would look at attributes in here."""
        return any("hx-ignore" in element.attributes for element in (self, *self.parents))


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.texts: list[tuple[str, Element | None]] = []
        self._open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, tuple(self._open))
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}, tuple(self._open)))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop().tag != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.texts.append((data, self._open[-1] if self._open else None))
        for element in self._open:
            element.text += data


class Page:
    """A parsed page or part of one."""

    def __init__(self, html: str) -> None:
        parser = _Parser()
        parser.feed(html)
        parser.close()
        self.elements = [each for each in parser.elements if not any(above.tag == "template" for above in each.parents)]
        self.texts = parser.texts

    @property
    def text(self) -> str:
        """All text on one line, thin spaces as plain ones; scripts and titles included."""
        return plain("".join(text for text, _ in self.texts))

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """The elements of a tag with these attribute values; ``class_`` is one of the classes."""
        return [element for element in self.elements if element.tag == tag and _fits(element, attributes)]

    def one(self, tag: str, **attributes: str) -> Element:
        """The only such element."""
        (element,) = self.all(tag, **attributes)
        return element


def plain(text: str) -> str:
    """Text on one line, with plain spaces."""
    return " ".join(text.replace("\u2009", " ").split())


def _fits(element: Element, attributes: dict[str, str]) -> bool:
    for name, value in attributes.items():
        if name == "class_":
            if value not in element.attributes.get("class", "").split():
                return False
        elif element.attributes.get(name.replace("_", "-")) != value:
            return False
    return True


def part(target: str) -> dict[str, str]:
    """The headers by which htmx asks for what goes into this element."""
    return HTML | {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": target}


async def ended(client: httpx.AsyncClient, page: httpx.Response) -> httpx.Response:
    """The page once nothing goes on any more of what it tells."""
    while Page(page.text).all("meta", http_equiv="refresh", content="2"):
        await asyncio.sleep(0)
        page = await client.get(page.url)
    return page


async def get(client: httpx.AsyncClient, path: str, headers: dict[str, str] = HTML) -> Page:
    """A page that must be there, at this address or where it leads."""
    answer = await client.get(path, headers=headers, follow_redirects=True)
    assert answer.status_code == 200, answer.text
    return Page(answer.text)


def url(trace: str) -> str:
    """Where the trace of that name is."""
    return f"/trace/{trace_id(trace).hex()}"
