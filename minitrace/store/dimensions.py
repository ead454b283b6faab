"""What spans of a segment have of some attributes, as text: further labels of Prometheus' counters.

A span's own attribute counts, or else that of its resource; "" where neither has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from minitrace.store import tokens, values
from minitrace.store.database import Reader
from minitrace.store.dictionary import keys_named
from minitrace.store.segment import RESOURCE_SCOPE, SPAN_SCOPE

Origin = tuple[int, str]  # the number of a span's resource, and the tokens of its attributes


async def dimensions(
    reader: Reader, segment: int, names: Sequence[str], origins: Iterable[Origin]
) -> Callable[[Origin], tuple[str, ...]]:
    """A function from a span's origin, one of these, to the values of attributes with these names."""
    types: dict[str, str] = {}  # of keys, by the letters of their tokens
    letters: dict[tuple[str, str], set[str]] = {}
    for (of_segment, name), keys in (await keys_named(reader, names)).items():
        for key in keys:
            if of_segment == segment:
                types[tokens.letters(key.number)] = key.type
                letters.setdefault((key.scope, name), set()).add(tokens.letters(key.number))
    find = tokens.finder(map(tokens.key_number, types))
    resources = await _resources(reader, segment)
    found = {origin: (find(origin[1]), find(resources[origin[0]])) for origin in dict.fromkeys(origins)}
    shown = await _shown(reader, segment, types, {token for both in found.values() for own in both for token in own})

    def value(name: str, of_span: list[str], of_resource: list[str]) -> str:
        for scope, own in ((SPAN_SCOPE, of_span), (RESOURCE_SCOPE, of_resource)):
            for token in own:
                if tokens.prefix(token) in letters.get((scope, name), ()):
                    return shown[token]
        return ""

    return lambda origin: tuple(value(name, *found[origin]) for name in names)


async def _resources(reader: Reader, segment: int) -> dict[int, str]:
    """The tokens of the resources of a segment, by their numbers."""
    first = tokens.numbered_id(segment, 0)
    sql = "SELECT id - ?, attributes FROM resources WHERE id BETWEEN ? AND ?"
    return dict(await reader.rows(sql, (first, first, tokens.numbered_id(segment + 1, 0) - 1)))


async def _shown(reader: Reader, segment: int, types: dict[str, str], wanted: set[str]) -> dict[str, str]:
    """What tokens stand for, as text."""
    by_id = tokens.ids_of(segment, wanted)
    sql = "SELECT id, value FROM dictionary WHERE id IN (SELECT value FROM json_each(?))"
    rows = await reader.rows(sql, [str(list(by_id))])
    return {by_id[id_]: _text(types[tokens.prefix(by_id[id_])], column) for id_, column in rows}


def _text(type_: str, column: values.Column) -> str:
    if type_ == values.BOOL:
        return "true" if column else "false"
    if column is None:
        return "NaN" if type_ == values.DOUBLE else ""
    return column.hex() if isinstance(column, bytes) else str(column)
