"""How long the newest spans of one operation took, for one of them to be held against."""

from __future__ import annotations

from minitrace.store import tokens, values
from minitrace.store.database import Reader
from minitrace.store.dictionary import Key, tokens_with
from minitrace.store.resolve import MOST_TERMS
from minitrace.store.segment import INTRINSIC
from minitrace.store.segments import ORIGINS

_NAME = Key(tokens.NAME, INTRINSIC, values.STRING)
_SEGMENTS = """
    SELECT segment, service
    FROM operations JOIN segments ON segments.id = segment AND state < 2
    WHERE service = (SELECT id FROM services WHERE services.name = ?) AND operations.name = ?
    ORDER BY segment DESC
"""


async def peers(reader: Reader, service: str, name: str, limit: int) -> list[int]:
    """The durations in nanoseconds of the spans with this service and name that arrived last, in no order.

    Raises:
        QueryTimeout: the deadline passed first.
    """
    found: list[int] = []
    for segment, service_id in await reader.rows(_SEGMENTS, (service, name)):
        if query := await _index_query(reader, segment, service_id, name):
            index = f"postings_{segment}"
            sql = f"""
                SELECT spans.duration_ns
                FROM {index} CROSS JOIN spans ON spans.id = {index}.rowid
                WHERE {index} MATCH ? AND spans.service = ?
                ORDER BY {index}.rowid DESC
                LIMIT ?
            """
            rows = await reader.rows(sql, (query, service_id, limit - len(found)))
            found += [row[0] for row in rows]
        if len(found) == limit:
            break
    return found


async def _index_query(reader: Reader, segment: int, service: int, name: str) -> str:
    """A query for the segment's index; "" if there is none to ask.

    It is about the service's resources, too, unless they are so many that the rows tell it sooner.
    """
    names = await tokens_with(reader, segment, _NAME, "=", name)
    first = tokens.numbered_id(segment, 0)
    sql = "SELECT id FROM resources WHERE id BETWEEN ? AND ? AND service = ? LIMIT ?"
    bounds = (first, tokens.numbered_id(segment + 1, 0) - 1)
    resources = [row[0] - first for row in await reader.rows(sql, (*bounds, service, MOST_TERMS + 1))]
    if not names or not resources:
        return ""
    query = f"({' OR '.join(sorted(names))})"
    if len(resources) > MOST_TERMS:
        return query
    of_service = " OR ".join(f"{ORIGINS['resource']}{number}" for number in resources)
    return f"{query} AND ({of_service})"
