"""Siblings that repeat, and what alike spans have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.analysis.repeats import Run, runs, signature
from minitrace.analysis.signatures import ATTRIBUTES, LONGEST_LABEL, is_call, label
from minitrace.analysis.tree import Tree, tree
from minitrace.model import Attributes, Kind, Span, Trace
from tests.analysis.alike import alike_trees
from tests.analysis.growing import MANY, fan, grown
from tests.effort import growth
from tests.samples import MS, TRACE, span

UUID = "1f0c5a12-8f3a-4c1e-9b7d-0a1b2c3d4e5f"


def query(text: str, *, system: str = "postgresql") -> Span:
    return span("SELECT", kind=Kind.CLIENT, attributes={"db.query.text": text, "db.system.name": system})


def request(url: str, method: str = "GET", **attributes: str) -> Span:
    described: Attributes = {"http.request.method": method, "url.full": url, **attributes}
    return span(method, kind=Kind.CLIENT, attributes=described)


def many(count: int, name: str = "get {}", parent: str = "", **fields: Any) -> list[Span]:
    """So many spans one after another, each a millisecond longer than the one before, with a number in the name."""
    return [
        span(name.format(n), parent, id=f"{name}{n}", start_ms=10 * n, duration_ms=n, **fields)
        for n in range(1, count + 1)
    ]


def rows_of(found: Iterable[Run]) -> list[tuple[int, ...]]:
    return [run.rows for run in found]


# Signatures


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT * FROM stock WHERE sku = 'A-1' AND n = 4", "SELECT * FROM stock WHERE sku = ? AND n = ?"),
        ("SELECT 'it''s', 'a\\'b' , -1.5e3, 0xFF FROM t1", "SELECT ?, ? , ?, ? FROM t1"),
        ("SELECT a FROM t WHERE id IN (1, 2,3)", "SELECT a FROM t WHERE id IN (?)"),
        ("SELECT a FROM t WHERE id IN ($1, $2)", "SELECT a FROM t WHERE id IN (?)"),
        ('SELECT a FROM t WHERE id IN ("x", "y")', "SELECT a FROM t WHERE id IN (?)"),
        ("SELECT a FROM t WHERE id IN (SELECT b FROM u)", "SELECT a FROM t WHERE id IN (SELECT b FROM u)"),
        ("INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y')", "INSERT INTO t (a, b) VALUES (?)"),
        ("SELECT a -- why 'not'\nFROM t /* it's */ WHERE b", "SELECT a FROM t WHERE b"),
        (
            'SELECT "users".* FROM "users" WHERE "users"."id" = $1',
            'SELECT "users".* FROM "users" WHERE "users"."id" = ?',
        ),
        ('SELECT a FROM t JOIN u ON t.b = "u"."b"', 'SELECT a FROM t JOIN u ON t.b = "u"."b"'),
        ('SELECT a FROM t WHERE name = "bob"', "SELECT a FROM t WHERE name = ?"),
        ('{"find": "users", "limit": 1}', '{"find": ?, "limit": ?}'),
        (
            "SELECT a FROM t WHERE b = :name AND c = %(c_1)s AND d = @p0",
            "SELECT a FROM t WHERE b = ? AND c = ? AND d = ?",
        ),
        ("SELECT a::text FROM t WHERE b = 'x'::uuid", "SELECT a::text FROM t WHERE b = ?::uuid"),
        ("SELECT a FROM t WHERE b = 'cut off", "SELECT a FROM t WHERE b = ?"),
    ],
)
def test_a_statement_is_known_without_its_literals(text: str, expected: str) -> None:
    assert signature(query(text)) == expected


def test_statements_that_are_cut_within_a_list_are_alike() -> None:
    literals = ("1", "'a'", "1" * 21)  # 2 000 characters end after a literal, in one, and after a comma
    texts = [f"INSERT INTO tt VALUES ({', '.join([literal] * 1_000)})" for literal in literals]
    assert {signature(query(text)) for text in texts} == {"INSERT INTO tt VALUES (?)"}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("GET product:KETTLE", "GET product:?"),
        ("SET product:KETTLE x EX 300", "SET product:?"),
        ("GET kettle", "GET ?"),
        ("PING", "PING"),
        (" ", ""),
    ],
)
def test_a_redis_command_is_known_without_its_key(command: str, expected: str) -> None:
    assert signature(query(command, system="redis")) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://users:80/users/42?full=1", "GET users:80/users/{id}"),
        (f"https://api/v1/files/{UUID}/pages#top", "GET api/v1/files/{id}/pages"),
        ("http://api/o/507f1f77bcf86cd799439011", "GET api/o/{id}"),
        ("http://api/c/ch_3MmlLrLkdIwHu7ix0snN0B15", "GET api/c/{id}"),
        ("http://api/v2/oauth2/token", "GET api/v2/oauth2/token"),
        ("http://api/recommendations/for-everybody", "GET api/recommendations/for-everybody"),
        ("http://[::1", "GET [::1/"),
    ],
)
def test_a_request_is_known_without_its_query_and_ids(url: str, expected: str) -> None:
    assert signature(request(url)) == expected


def test_a_request_is_known_by_its_template_where_it_has_one() -> None:
    sent = request("http://api/related/KETTLE", **{"url.template": "/related/{sku}"})
    assert signature(sent) == "GET api/related/{sku}"


def test_requests_to_two_hosts_are_not_alike() -> None:
    assert signature(request("http://localhost:8001/x")) != signature(request("http://localhost:8002/x"))


def test_a_servers_url_is_not_looked_at_as_its_name_has_the_route() -> None:
    served = span("GET /p/{sku}", kind=Kind.SERVER, attributes={"url.path": "/p/KETTLE"})
    assert signature(served) == "GET /p/{sku}"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("GET /users/42", "GET /users/{id}"),
        ("pack order 4711", "pack order {id}"),
        (f"job:{UUID}", "job:{id}"),
        ("charge card", "charge card"),
        ("chat gpt-4.1-mini", "chat gpt-4.1-mini"),
        ("ConvertUtf8ToUtf16", "ConvertUtf8ToUtf16"),
        ("GET /deadbeef", "GET /deadbeef"),
        ("SELECT * FROM t WHERE a = 'x'", "SELECT * FROM t WHERE a = ?"),
        ("DELETE /users/42", "DELETE /users/{id}"),
    ],
)
def test_a_name_is_known_without_its_ids(name: str, expected: str) -> None:
    assert signature(span(name)) == expected


def test_a_statement_counts_more_than_a_name() -> None:
    assert signature(span("pay 1", attributes={"db.statement": "COMMIT"})) == "COMMIT"


def test_all_attributes_that_are_looked_at_are_listed() -> None:
    full = request("http://api/related/KETTLE", **{"url.template": "/related/{sku}", "db.system": "redis"})
    assert full.attributes.keys() <= set(ATTRIBUTES)
    assert {"db.query.text", "db.statement", "db.query.summary"} <= set(ATTRIBUTES)


@pytest.mark.parametrize(
    "unit", ["/*", "--", "'", '"', "`", "IN (", "(?,", "= ", '="', "1", "a1", "%(", "a" * 20 + "/", "$", ":a"]
)
def test_no_text_takes_longer_than_it_is(unit: str) -> None:
    def labelling(count: int) -> Callable[[], object]:
        spans = [span(start + unit * count) for start in ("", "SELECT FROM ", "INSERT INTO t VALUES (", "/")]
        spans += [span("x", attributes={"db.statement": one.name}) for one in spans]
        return lambda: [label(one) for one in spans]

    assert growth(labelling, 500, 8) < 24  # squares would be 64


@given(st.text(max_size=20))
def test_whatever_a_literal_says_the_signature_is_the_same(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace("'", "''")
    assert signature(query(f"SELECT a FROM t WHERE b = '{quoted}' AND c")) == "SELECT a FROM t WHERE b = ? AND c"


# Labels


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select sku from stock where a = 1", "SELECT stock"),
        ('INSERT INTO "public"."orders" (a) VALUES (1)', "INSERT orders"),
        ("UPDATE `stock` SET a = 1", "UPDATE stock"),
        ("DELETE FROM [dbo].[Users]", "DELETE Users"),
        ("WITH x AS (SELECT a FROM t) SELECT * FROM x", "SELECT t"),
        ("SELECT pg_sleep(1)", "SELECT"),  # its name: it has no table
    ],
)
def test_a_statement_is_called_by_its_verb_and_table(text: str, expected: str) -> None:
    assert label(query(text)) == expected


def test_a_statement_is_called_by_its_summary_where_it_has_one() -> None:
    attributes: Attributes = {"db.query.text": "SELECT a FROM t", "db.query.summary": "SELECT stock items"}
    assert label(span("x", attributes=attributes)) == "SELECT stock items"


def test_a_redis_command_is_called_by_what_its_keys_share() -> None:
    assert label(query("GET product:KETTLE", system="redis")) == "GET product:?"


def test_a_request_is_called_by_its_method_and_path() -> None:
    assert label(request("http://users:80/users/42")) == "GET /users/{id}"


def test_a_label_is_one_short_line() -> None:
    text = label(span("a\n" * 1_000))
    assert text.startswith("a a a ")
    assert text.endswith("…")
    assert len(text) == LONGEST_LABEL


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (span("get", kind=Kind.CLIENT), True),
        (span("get", kind=Kind.INTERNAL, attributes={"db.statement": "COMMIT"}), True),
        (span("SELECT a FROM t"), True),
        (span("charge card"), False),
    ],
)
def test_a_call_is_a_clients_span_or_a_statement(found: Span, expected: bool) -> None:
    assert is_call(found) is expected


# Runs


def test_five_alike_siblings_are_a_run() -> None:
    rows = grown(span("pay", duration_ms=99), *many(5, "GET /users/{}", "pay", kind=Kind.CLIENT))
    assert runs(rows) == [Run(0, (1, 2, 3, 4, 5), "GET /users/{id}", 15 * MS, 3 * MS, is_call=True)]


def test_four_alike_siblings_are_none() -> None:
    assert runs(grown(span("pay"), *many(4, parent="pay"))) == []


def test_the_least_number_can_be_another() -> None:
    assert rows_of(runs(grown(span("pay"), *many(4, parent="pay")), least=4)) == [(1, 2, 3, 4)]


def test_alike_siblings_need_not_stand_side_by_side() -> None:
    between = span("other", "pay", start_ms=25, duration_ms=1)
    rows = grown(span("pay"), *many(5, parent="pay"), between)
    assert rows_of(runs(rows)) == [(1, 2, 4, 5, 6)]


def test_orphans_are_siblings_only_if_they_name_the_same_parent() -> None:
    some = [span("task", f"lost {n % 2}", id=str(n), start_ms=n) for n in range(8)]
    assert runs(tree(Trace(TRACE, some))) == []
    (run,) = runs(tree(Trace(TRACE, [*some, *(span("task", "lost 0", id=f"more {n}") for n in range(2))])))
    assert len(run.rows) == 6


def test_tops_can_be_a_run_whose_parent_is_none() -> None:
    assert [(run.parent, run.rows) for run in runs(grown(*many(5)))] == [(-1, (0, 1, 2, 3, 4))]


@pytest.mark.parametrize("other", [{"service": "bank"}, {"kind": Kind.CLIENT}])
def test_siblings_of_another_service_or_kind_are_not_alike(other: dict[str, Any]) -> None:
    assert runs(grown(span("pay"), *many(4, parent="pay"), *many(1, "get  {}", "pay", **other))) == []


def test_alike_spans_below_two_parents_are_not_siblings() -> None:
    rows = grown(span("a"), span("b"), *many(3, "get {}", "a"), *many(3, "put {}", "b"))
    for row in range(len(rows)):
        rows.span(row).name = "same"
    assert runs(rows) == []


def test_runs_come_in_order_of_their_first_rows() -> None:
    spans = many(12, parent="pay")
    for index, one in enumerate(spans):
        one.name = "even" if index % 2 else "odd"
    assert [(run.label, run.rows[0]) for run in runs(grown(span("pay"), *spans))] == [("odd", 1), ("even", 2)]


def test_a_run_within_a_sibling_comes_before_one_that_begins_after_it() -> None:
    rows = grown(span("pay"), span("first", "pay"), *many(5, "get {}", "first"), *many(5, "put {}", "pay"))
    assert [(run.parent, run.rows[0]) for run in runs(rows)] == [(1, 2), (0, 7)]


def test_the_median_of_an_even_number_is_the_lower_one() -> None:
    assert runs(grown(span("pay"), *many(6, parent="pay")))[0].median_ns == 3 * MS


def test_20_000_siblings_are_one_run() -> None:
    assert [len(run.rows) for run in runs(tree(fan()))] == [MANY]


@given(alike_trees())
def test_runs_are_what_a_plain_count_of_siblings_finds(rows: Tree) -> None:
    alike = Counter(
        (parent, rows.span(row).parent_id, rows.span(row).service, rows.span(row).kind, rows.span(row).name)
        for row, parent in enumerate(rows.parents)
    )
    expected = Counter({key: count for key, count in alike.items() if count >= 2})
    firsts = [(run, rows.span(run.rows[0])) for run in runs(rows, least=2)]
    found = {
        (run.parent, first.parent_id, first.service, first.kind, run.label): len(run.rows) for run, first in firsts
    }
    assert found == expected
