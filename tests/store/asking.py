"""Searches as the tests of the store write them."""

from __future__ import annotations

from typing import Any

from minitrace.store.search import Search
from minitrace.traceql.ast import Pipeline
from minitrace.traceql.parser import parse


def pipeline(query: str) -> Pipeline:
    """The pipeline of a query that gives traces."""
    root = parse(query).root
    assert isinstance(root, Pipeline)
    return root


def wanted(query: str = "{ }", words: str = "", **more: Any) -> Search:
    """A search for traces, with words beside the query."""
    return Search(pipeline(query), tuple(words.split()), **more)
