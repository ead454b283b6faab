"""The shape that a test wants its spans to have, as text or from `span()`.

```
POST /orders (in order)           one span of this name; what is below it comes in this order
  SELECT stock*                   a child; * ? [a-z] match as in file names
  "SELECT *" x2                   in quotes a name stands for itself; exactly two
  charge { span.amount > 0 }      one for which a TraceQL filter holds, too; without a name, any for which it does
    cart: HTTP POST x1..3         of the service cart; one to three. x2.. is two or more, x0 none
  embed doc.id=a-1                an attribute that reads so
  ? send email                    one or none
  ...                             others may stand here, also when all is strict
```

What stands deeper is below. How a line is read: `notation`. What `outline` writes is a shape, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import EllipsisType

from minitrace import present
from minitrace.errors import ShapeError
from minitrace.testing.finding import program
from minitrace.testing.shapes.notation import quoted, readable, written


@dataclass(frozen=True, slots=True)
class SpanShape:
    """One line of a shape, and all below it; `span()` makes them.

    `least` to `most` such spans are wanted, any number where `most` is None. `is_exact` says that `name` is no
    pattern, `has_more` that others may stand among the children even when all is strict. `line` is its place in the
    text, from 1; 0 where there is none.
    """

    name: str
    least: int = 1
    most: int | None = 1
    where: str | None = None
    attrs: Mapping[str, object] = field(default_factory=dict)
    children: tuple[SpanShape, ...] = ()
    is_ordered: bool = False
    is_exact: bool = False
    has_more: bool = False
    line: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return "\n".join(self._lines(0))

    def _lines(self, depth: int) -> Iterator[str]:
        yield "  " * depth + self.title
        for child in self.children:
            yield from child._lines(depth + 1)
        if self.has_more:
            yield "  " * (depth + 1) + "..."

    @property
    def title(self) -> str:
        """Its own line."""
        parts = [
            "?" if self.least == 0 and self.most else "",
            quoted(self.name) if self.is_exact else readable(self.name),
            *(f"{key}={value if isinstance(value, Written) else repr(value)}" for key, value in self.attrs.items()),
            self.where or "",
            self._count(),
            "(in order)" if self.is_ordered else "",
        ]
        return " ".join(filter(None, parts))

    def _count(self) -> str:
        if self.most is None:
            return f"x{self.least}.."
        if self.least == self.most:
            return "" if self.most == 1 else f"x{self.most}"
        return "" if self.most == 1 else f"x{self.least}..{self.most}"


class Written:
    """The value of an attribute as it stands in a text: equal to what reads so, ``201`` to 201 and "201"."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Written):
            return self.text == other.text
        return present.value(other) == self.text  # type: ignore[arg-type]  # an attribute's value is a Value

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        return written(self.text)


def span(
    name: str,
    *,
    times: int | range | None = 1,
    optional: bool = False,
    where: str | None = None,
    attrs: Mapping[str, object] | None = None,
    children: Sequence[SpanShape | EllipsisType] = (),
    ordered: bool = False,
) -> SpanShape:
    """The shape of a span: ``span("POST /orders", children=[span("SELECT stock", times=range(1, 4)), ...])``.

    `name` may be a pattern as for file names. `times` is how many alike are wanted, None any number from one on;
    `optional` ones may be missing. `where` is TraceQL. Values of `attrs` are compared by ``==``, so that
    `pytest.approx` does; None stands for an attribute that is not there. `ordered` children come in this order;
    ``...`` among them allows others when the assertion is strict.

    Raises:
        ShapeError: what is wanted makes no sense.
        TraceQLError: `where` is not a query.
    """
    least, most = _bounds(name, times)
    if optional and least > 1:
        raise ShapeError(ambiguous(name, least, most))
    if where is not None:
        program(where)
    below = tuple(child for child in children if isinstance(child, SpanShape))
    return SpanShape(
        name, 0 if optional else least, most, where, dict(attrs or {}), below, ordered, has_more=... in children
    )


def _bounds(name: str, times: int | range | None) -> tuple[int, int | None]:
    if times is None:
        return 1, None
    least, most = (times, times) if isinstance(times, int) else (times.start, times.stop - 1)
    if not 0 <= least <= most or (isinstance(times, range) and times.step != 1):
        raise ShapeError(f"times={times!r} of {name!r} is no number of spans: try 3, or range(1, 4) for one to three")
    return least, most


def ambiguous(name: str, least: int, most: int | None) -> str:
    """What to say of a span that is optional, and wanted more than once: none or all, or any number up to that?"""
    most_text = "" if most is None else most
    return f"{name!r} is optional, and wanted {least} times or more: for none, some or all say x0..{most_text}"
