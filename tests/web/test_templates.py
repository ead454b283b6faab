"""What must not be written in a template or a module of ours, each rule with what it must catch.

Spans are written by whoever talks to the application under test. Escaping keeps them from becoming
markup; these rules keep templates from printing them where escaping is not enough, and from markup that
our Content-Security-Policy would switch off.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from minitrace.web.render import env

WEB = Path(__file__).parents[2] / "minitrace" / "web"
TEMPLATES = {path.name: path.read_text() for path in sorted((WEB / "templates").glob("*"))}
MODULES = {path.name: path.read_text() for path in sorted((WEB / "static").glob("*.js"))}
STYLES = {path.name: path.read_text() for path in sorted((WEB / "static").glob("*.css"))}
PYTHON = {path.name: path.read_text() for path in sorted(WEB.glob("*.py"))}

TEMPLATE_RULES = {
    "escaping switched off": (r"\|\s*safe\b|autoescape|Markup", ["{{ x|safe }}", "{% autoescape false %}"]),
    "a style attribute": (r"\sstyle\s*=", ['<i style="color: red">']),
    "an inline style sheet": (r"<style", ["<style>p {}</style>"]),
    "an event handler": (r"\son[a-z]+\s*=", ['<a onclick="x()">', "<img onerror=x>"]),
    "an inline script": (r"<script(?![^>]*\ssrc=)", ["<script>x()</script>", '<script type="module">x</script>']),
    "code in an attribute": (r"\b(?:js|javascript|vbscript):", ["hx-vals='js:{}'", '<a href="javascript:x">']),
    "htmx that evaluates": (r"hx-(?:on|vals|vars|headers)\b", ['<i hx-on:click="x">', "hx-vals='{}'"]),
    "a trigger filter": (r"hx-trigger=[\"'][^\"']*\[", ['hx-trigger="click[ctrlKey]"']),
    "htmx 2": (
        r"hx-(?:ext|disinherit|boost|request|history)\b|(?<!hx-)\bsse-(?:swap|connect|close)|htmx:[a-z]+[A-Z]",
        ['hx-ext="sse"', 'sse-connect="/x"', "htmx:afterSwap", 'hx-disinherit="*"'],
    ),
    "an attribute without quotes": (
        r"""<[a-z](?:[^<>"']|"[^"]*"|'[^']*')*=\s*\{[{%]""",
        ["<a title={{ x }}>", '<a id="a" title= {{ x }}>', "<a title={% if x %}y{% endif %}>"],
    ),
    "an attribute whose name is data": (r"<[a-z][^<>]*?\s\{\{[^{}]*\}\}\s*=", ['<a {{ key }}="x">']),
    "data for htmx": (
        r"""\bhx-[\w:-]+=(?:"[^"]*\{\{(?!\s*root\s*\}\})|'[^']*\{\{(?!\s*root\s*\}\}))""",
        ['<i hx-get="/trace/{{ id }}">', "<i hx-target='#{{ name }}'>"],
    ),
    "an address that is data": (
        r"""\b(?:href|src|action|formaction)=["']\{\{(?!\s*(?:root|base|url)\b)""",
        ['<a href="{{ value }}">', "<form action='{{ link.url }}'>"],
    ),
    "an address elsewhere": (
        r"""\b(?:href|src|action)=["'](?:https?:)?//""",
        ['<a href="//x">', '<img src="http://x">'],
    ),
}
MODULE_RULES = {
    "text to markup": (
        r"innerHTML\s*[+=]|outerHTML|insertAdjacentHTML|document\.write|HTMLUnsafe|createContextualFragment|DOMParser",
        ["x.innerHTML = y", "x.insertAdjacentHTML('x', y)", "document.write(x)", "x.setHTMLUnsafe(y)"],
    ),
    "text to code": (r"\beval\(|new Function|setTimeout\(\s*[\"'`]", ["eval(x)", "new Function(x)", "setTimeout('x')"]),
    "a style attribute": (
        r"cssText|setAttribute\(\s*[\"']style",
        ["x.style.cssText = y", 'x.setAttribute("style", y)'],
    ),
    "something left in the browser": (r"localStorage|indexedDB", ["localStorage.x = 1"]),
    "htmx 2": (r"htmx:[a-z]+[A-Z]", ["htmx:afterSwap"]),
    "an address elsewhere": (r"https?://", ['fetch("https://x")']),
}
STYLE_RULES = {"something fetched": (r"url\(|@import|@font-face", ["url(x.png)", '@import "x.css"'])}
PYTHON_RULES = {
    "escaping switched off": (r"\bMarkup\b|autoescape=False|\|\s*safe\b", ["Markup(x)", "autoescape=False"])
}


def _violations(sources: dict[str, str], rules: dict[str, tuple[str, list[str]]]) -> list[str]:
    return [
        f"{name}: {rule}: {match[0]}"
        for name, source in sources.items()
        for rule, (pattern, _) in rules.items()
        for match in re.finditer(pattern, source)
    ]


def test_templates_keep_the_rules() -> None:
    assert _violations(TEMPLATES, TEMPLATE_RULES) == []


def test_modules_keep_the_rules() -> None:
    asked = "search.js: something left in the browser: localStorage"  # what a person typed, no telemetry
    assert set(_violations(MODULES, MODULE_RULES)) <= {asked}


def test_marks_alone_are_kept_while_a_tab_is_open() -> None:
    assert [name for name, source in MODULES.items() if "sessionStorage" in source] == ["compare-marks.js", "page.js"]


def test_the_style_sheet_keeps_the_rules() -> None:
    assert _violations(STYLES, STYLE_RULES) == []


def test_python_keeps_the_rules() -> None:
    assert _violations(PYTHON, PYTHON_RULES) == []


@pytest.mark.parametrize(
    ("pattern", "sample"),
    [
        (pattern, sample)
        for rules in (TEMPLATE_RULES, MODULE_RULES, STYLE_RULES, PYTHON_RULES)
        for pattern, samples in rules.values()
        for sample in samples
    ],
)
def test_each_rule_catches(pattern: str, sample: str) -> None:
    assert re.search(pattern, sample)


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_escapes(name: str) -> None:
    assert env.autoescape is True
    env.get_template(name)  # it parses, and names no filter that is not there


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_says_what_it_is(name: str) -> None:
    assert TEMPLATES[name].startswith("{# ")


def test_what_htmx_replaces_is_named_as_its_block() -> None:
    for name, source in TEMPLATES.items():
        blocks = set(env.get_template(name).blocks) - {"main", "title", "lookup", "head", "keys"}
        assert blocks <= set(re.findall(r'\bid="([\w-]+)"', source)), name
