"""What is kept of failed tests: files that open, under names that fit, in a folder that does not grow."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minitrace.errors import StoreError, StoreLocked
from minitrace.model import Span, Status, StatusCode, Trace
from minitrace.store.lock import Lock
from minitrace.store.maintenance import describe
from minitrace.store.store import Store
from minitrace.testing.keeping import Folder, file_stem, save, save_html, save_pages, session_name
from tests.samples import T0, TRACE, span, trace_id

SESSIONS = [session_name(T0 + hour * 3_600_000_000_000, "aa") for hour in range(6)]
ROOM_FOR_TWO = 400_000  # bytes; a file of one trace has 159 744, most of them for tables that are empty
SPANS = [span("GET /orders"), *(span(f"SELECT {n}", "GET /orders", start_ms=n) for n in range(4))]


def trace(name: str = "t", *, failed: bool = False, duration_ms: float = 10) -> Trace:
    status = Status(StatusCode.ERROR if failed else StatusCode.UNSET)
    return Trace(trace_id(name), [span(name, trace=name, status=status, duration_ms=duration_ms)])


def stored(path: Path) -> list[Span]:
    """The spans of `TRACE` in a file."""

    async def load() -> list[Span]:
        async with await Store.open(path) as store:
            return (await store.trace(TRACE)).spans

    return asyncio.run(load())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_saved_file_has_the_same_spans_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    path = save([Trace(TRACE, SPANS)], tmp_path / "new" / "saved.db")
    assert names(path.parent) == ["saved.db"]
    assert describe(path).span_count == len(SPANS)
    assert stored(path) == SPANS


def test_spans_that_are_no_traces_yet_are_saved_too(tmp_path: Path) -> None:
    assert stored(save(SPANS, tmp_path / "saved.db")) == SPANS


def test_ten_thousand_spans_are_saved_in_more_than_one_transaction(tmp_path: Path) -> None:
    path = save([span(str(n)) for n in range(10_000)], tmp_path / "saved.db")
    assert describe(path).span_count == 10_000


async def test_a_file_is_saved_while_a_loop_runs(tmp_path: Path) -> None:
    assert describe(save(SPANS, tmp_path / "saved.db")).span_count == len(SPANS)


def test_what_was_there_gives_way(tmp_path: Path) -> None:
    save([span("before"), span("too")], tmp_path / "saved.db")
    assert describe(save([span("after")], tmp_path / "saved.db")).span_count == 1


def test_what_was_there_stays_where_a_span_cannot_be_stored(tmp_path: Path) -> None:
    save(SPANS, tmp_path / "saved.db")
    with pytest.raises(ValueError, match="id"):
        save([span("no id", trace=b"")], tmp_path / "saved.db")
    assert names(tmp_path) == ["saved.db"]
    assert describe(tmp_path / "saved.db").span_count == len(SPANS)


def test_a_file_that_a_minitrace_has_open_is_not_replaced(tmp_path: Path) -> None:
    save(SPANS, tmp_path / "saved.db")
    lock = Lock(tmp_path / "saved.db")
    with pytest.raises(StoreLocked):
        save([], tmp_path / "saved.db")
    lock.release()


def test_a_file_is_not_put_beside_the_log_of_another_one(tmp_path: Path) -> None:
    (tmp_path / "saved.db-wal").write_bytes(b"spans of a server that was killed")
    with pytest.raises(StoreError, match=r"saved\.db-wal exists"):
        save(SPANS, tmp_path / "saved.db")


@pytest.mark.parametrize(
    ("module", "left_out"),
    [
        ("minitrace.testing.keeping", ["starlette", "jinja2", "uvicorn"]),
        ("minitrace.web.saved", ["minitrace.store.store", "minitrace.store.search", "uvicorn"]),
    ],
)
def test_a_test_that_fails_does_not_wait_for_what_its_files_do_without(module: str, left_out: list[str]) -> None:
    loaded = f"import sys, {module}; print(sorted(set({left_out}) & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_page_stands_alone(tmp_path: Path) -> None:
    path = save_html(Trace(TRACE, SPANS), tmp_path / "new" / "saved.html")
    html = path.read_text(encoding="utf-8")
    assert "<title>GET /orders · minitrace</title>" in html
    assert "SELECT 3" in html
    assert not re.search(r'(src|href)="(?!#)', html)
    assert names(path.parent) == ["saved.html"]


def test_pages_are_of_the_traces_that_failed_then_of_the_longest(tmp_path: Path) -> None:
    traces = [
        trace("short", duration_ms=1),
        trace("long", duration_ms=9),
        trace("mid", duration_ms=5),
        trace("bad", failed=True, duration_ms=0.5),
    ]
    paths = save_pages(traces, tmp_path / "saved.html")
    titles = [re.findall("<title>(.*) · minitrace", path.read_text(encoding="utf-8"))[0] for path in paths]
    assert [path.name for path in paths] == ["saved.html", "saved.2.html", "saved.3.html"]
    assert titles == ["bad", "long", "mid"]


@pytest.mark.parametrize(
    ("node_id", "readable"),
    [
        ("tests/test_orders.py::test_list", "test_orders__test_list"),
        ("tests/test_orders.py::TestCart::test_list[a/b-1.5]", "test_orders__TestCart__test_list-a-b-1-5"),
        ("test_a.py::test[../../etc/passwd]", "test_a__test-etc-passwd"),
        ("test_a.py::test[C:\\x\0y\n]", "test_a__test-C-x-y"),
        ("test_a.py::test[😀]", "test_a__test"),
        ("", "test"),
        ("😀", "test"),
        ("CON", "CON"),
        (f"test_a.py::test[{'x' * 300}]", "test_a__test-" + "x" * 98),
    ],
)
def test_files_are_named_after_their_test(node_id: str, readable: str) -> None:
    stem, _, digest = file_stem(node_id).rpartition("-")
    assert stem == readable
    assert re.fullmatch("[0-9a-f]{8}", digest)


@given(st.lists(st.text() | st.text("aA/:[].é", max_size=6) | st.text(max_size=2).map(lambda text: "x" * 300 + text)))
def test_every_test_has_a_name_of_its_own_that_any_file_system_takes(node_ids: list[str]) -> None:
    stems = {node_id: file_stem(node_id) for node_id in node_ids}
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{8,119}", stem) for stem in stems.values())
    assert max(Counter(stem.lower() for stem in stems.values()).values(), default=1) == 1


def test_nothing_is_made_before_something_is_kept(tmp_path: Path) -> None:
    Folder(tmp_path / ".minitrace", SESSIONS[0]).close()
    assert names(tmp_path) == []


def test_a_folder_holds_the_files_of_a_session_and_is_ignored_by_git(tmp_path: Path) -> None:
    folder = Folder(tmp_path / ".minitrace", SESSIONS[0])
    kept = folder.keep("test_a.py::test", [trace()], has_pages=True)
    folder.close()
    stem = file_stem("test_a.py::test")
    assert kept.db == tmp_path / ".minitrace" / "failed" / SESSIONS[0] / f"{stem}.db"
    assert names(kept.db.parent) == [f"{stem}.db", f"{stem}.html"]
    assert (tmp_path / ".minitrace" / ".gitignore").read_text() == "*\n"
    assert (tmp_path / ".minitrace" / "latest").read_text() == f"failed/{SESSIONS[0]}\n"


def test_spans_of_failed_tests_say_which_test_they_are_from(tmp_path: Path) -> None:
    folder = Folder(tmp_path, SESSIONS[0])
    kept = folder.keep("test_a.py::test", [Trace(TRACE, SPANS)])
    folder.close()
    assert kept.db
    assert {span.resource.attributes["test.case.name"] for span in stored(kept.db)} == {"test_a.py::test"}
    assert {span.service for span in stored(kept.db)} == {"shop"}


@settings(max_examples=25)  # files are written
@given(node_id=st.text(st.characters(exclude_categories=())))
def test_a_test_of_any_name_is_kept(tmp_path_factory: pytest.TempPathFactory, node_id: str) -> None:
    folder = Folder(tmp_path_factory.mktemp("kept"), SESSIONS[0])
    kept = folder.keep(node_id, [trace()])
    folder.close()
    assert (kept.problem, bool(kept.db)) == ("", True)


def test_a_gitignore_of_somebody_else_stays(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("mine\n")
    keep(tmp_path, SESSIONS[0])
    assert (tmp_path / ".gitignore").read_text() == "mine\n"


def keep(root: Path, session: str, node_id: str = "test_a.py::test", **limits: int) -> None:
    """Keep one test of a session that then ends."""
    folder = Folder(root, session, **limits)
    assert folder.keep(node_id, [trace()]).db
    folder.close()


def test_the_last_three_sessions_are_kept(tmp_path: Path) -> None:
    for session in SESSIONS:
        keep(tmp_path, session)
    assert names(tmp_path / "failed") == SESSIONS[3:]


def test_the_oldest_sessions_leave_when_all_are_too_large(tmp_path: Path) -> None:
    for session in SESSIONS[:3]:
        keep(tmp_path, session, most_bytes=ROOM_FOR_TWO)
    assert names(tmp_path / "failed") == SESSIONS[1:3]


def test_a_session_that_is_too_large_keeps_its_first_files_and_says_once_that_there_are_no_more(tmp_path: Path) -> None:
    folder = Folder(tmp_path, SESSIONS[0], most_bytes=ROOM_FOR_TWO)
    kept = [folder.keep(f"test_a.py::test[{n}]", [trace()]) for n in range(4)]
    folder.close()
    assert [bool(one.db) for one in kept] == [True, True, False, False]
    assert [bool(one.problem) for one in kept] == [False, False, True, False]
    assert len(names(tmp_path / "failed" / SESSIONS[0])) == 2


def test_a_session_that_goes_on_is_left_alone(tmp_path: Path) -> None:
    going = Folder(tmp_path, SESSIONS[0])
    going.keep("test_a.py::test", [trace()])
    for session in SESSIONS[1:5]:
        keep(tmp_path, session)
    assert names(tmp_path / "failed") == [SESSIONS[0], *SESSIONS[3:5]]
    going.close()
    keep(tmp_path, SESSIONS[5])
    assert names(tmp_path / "failed") == SESSIONS[3:]


def test_a_session_whose_process_was_killed_leaves_with_what_it_had_begun(tmp_path: Path) -> None:
    killed = tmp_path / "failed" / SESSIONS[0]
    keep(tmp_path, SESSIONS[0])
    (killed / "4711.lock").write_text("4711\n")
    (killed / ".minitrace-k2x1").mkdir()
    (killed / ".minitrace-k2x1" / "new.db").write_bytes(b"half")
    for session in SESSIONS[1:4]:
        keep(tmp_path, session)
    assert names(tmp_path / "failed") == SESSIONS[1:4]


def test_what_minitrace_did_not_write_is_never_removed(tmp_path: Path) -> None:
    foreign = ["notes.txt", "mine.db", "0badcafe.html"]
    keep(tmp_path, SESSIONS[0])
    (tmp_path / "failed" / "old").mkdir()
    for name in foreign:
        (tmp_path / "failed" / SESSIONS[0] / name).touch()
    for session in SESSIONS[1:5]:
        keep(tmp_path, session)
    assert names(tmp_path / "failed") == [SESSIONS[0], *SESSIONS[2:5], "old"]
    assert names(tmp_path / "failed" / SESSIONS[0]) == sorted(foreign)


WORKER = """
import sys
from pathlib import Path
from minitrace.testing.keeping import Folder
from tests.testing.test_keeping import trace
folder = Folder(Path(sys.argv[1]), sys.argv[2])
for number in range(10):
    kept = folder.keep(f"test_a.py::test[{sys.argv[3]}-{number}]", [trace()], has_pages=number == 0)
    assert kept.db and not kept.problem, kept.problem
folder.close()
"""


def test_workers_of_one_session_and_of_others_write_beside_each_other(tmp_path: Path) -> None:
    shares = [(session, worker) for session in SESSIONS[:3] for worker in ("gw0", "gw1")]
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path), *share], cwd=Path(__file__).parents[2])
        for share in shares
    ]
    assert [worker.wait(60) for worker in workers] == [0] * len(workers)
    assert {session: len(names(tmp_path / "failed" / session)) for session in SESSIONS[:3]} == dict.fromkeys(
        SESSIONS[:3], 22
    )


def test_a_folder_that_cannot_be_made_is_one_line_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = Folder(tmp_path / "file", SESSIONS[0])
    first, second = folder.keep("a", [trace()]), folder.keep("b", [trace()])
    folder.close()
    assert first.problem == (
        f"traces of failed tests are not kept in {tmp_path / 'file'}: file exists. "
        "Name another folder with minitrace_dir"
    )
    assert (first.db, second.problem) == (None, "")


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_one_line_and_no_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "permission denied" in Folder(tmp_path / ".minitrace", SESSIONS[0]).keep("a", [trace()]).problem


def test_a_page_that_cannot_be_written_leaves_the_file(tmp_path: Path) -> None:
    folder = Folder(tmp_path, SESSIONS[0])
    (tmp_path / "failed" / SESSIONS[0] / f"{file_stem('a')}.html").mkdir(parents=True)
    kept = folder.keep("a", [trace()], has_pages=True)
    folder.close()
    assert kept.db
    assert kept.db.exists()
    assert "is a directory" in kept.problem


def test_a_span_that_cannot_be_stored_is_said_and_no_error(tmp_path: Path) -> None:
    folder = Folder(tmp_path, SESSIONS[0])
    problem = folder.keep("a", [Trace(b"", [span("no id", trace=b"")])]).problem
    folder.close()
    assert "id" in problem
