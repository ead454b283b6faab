"""`minitrace open`: from tests that failed to a page in a browser, by real processes."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import httpx
import pytest

from minitrace.model import Trace
from minitrace.testing.keeping import Folder, file_stem, session_name
from minitrace.web.documents import Format, document
from tests.running import Program, until
from tests.samples import T0, span, trace_id

pytestmark = pytest.mark.journey

OPEN = (sys.executable, "-m", "minitrace", "open")
BROWSER = "import sys, pathlib; pathlib.Path('visited').write_text(sys.argv[1])"
TESTS = {"test_shop.py::test_cart": "GET /cart", "test_shop.py::test_pay": "POST /pay"}
SPANS = {
    name: [span(name, trace=name), *(span(f"{n}", name, trace=name, start_ms=n) for n in range(6))]
    for name in ("GET /cart", "POST /pay", "GET /old")
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where two tests failed just now, and another one before."""
    for hour, tests in enumerate([{"test_shop.py::test_old": "GET /old"}, TESTS]):
        session = Folder(tmp_path / ".minitrace", session_name(T0 + hour * 3_600_000_000_000, "aa"))
        for node_id, name in tests.items():
            assert session.keep(node_id, [Trace(trace_id(name), SPANS[name])]).db
        session.close()
    return tmp_path


def browser(folder: Path) -> dict[str, str]:
    """A browser that writes down where it was sent."""
    (folder / "browser.py").write_text(BROWSER)
    return {"BROWSER": f"{sys.executable} {folder / 'browser.py'} %s", "PYTHONPATH": str(Path(__file__).parents[2])}


def test_one_trace_is_opened_at_its_page_and_ctrl_c_ends_it(folder: Path) -> None:
    (db,) = (folder / ".minitrace").glob(f"failed/*/{file_stem('test_shop.py::test_pay')}.db")
    before = db.read_bytes()
    with Program(*OPEN, db, env=browser(folder), cwd=folder) as program:
        url, _ = program.read_until("Ctrl-C ends it.")
        assert url.endswith(f"/trace/{trace_id('POST /pay').hex()}")
        assert "POST /pay" in httpx.get(url).text
        (sent,) = httpx.get(f"{url}/otlp.json").json()["resourceSpans"]
        assert len(sent["scopeSpans"][0]["spans"]) == len(SPANS["POST /pay"])
        assert until((folder / "visited").exists)
        assert program.stop(signal.SIGINT) == 0
    assert until(lambda: (folder / "visited").read_text()) == url
    assert (program.stderr, db.read_bytes()) == ("", before)
    assert [path.name for path in db.parent.iterdir() if not path.name.endswith(".db")] == []


def test_the_tests_that_failed_last_are_opened_together_without_a_name(folder: Path) -> None:
    with Program(*OPEN, "--no-browser", env=browser(folder), cwd=folder) as program:
        url, _ = program.read_until("Ctrl-C ends it.")
        page = httpx.get(url).text
        assert [name in page for name in ("GET /cart", "POST /pay", "GET /old")] == [True, True, False]
        assert [node_id in page for node_id in TESTS] == [True, True]
    assert program.exit_code == 0
    assert not (folder / "visited").exists()


@pytest.mark.parametrize("kind", ["jaeger", "db"])
def test_what_comes_by_standard_input_is_opened(folder: Path, kind: str) -> None:
    (db,) = (folder / ".minitrace").glob(f"failed/*/{file_stem('test_shop.py::test_pay')}.db")
    piped = folder / "piped"
    if kind == "db":
        piped.write_bytes(db.read_bytes())
    else:
        piped.write_text("".join(document([SPANS["POST /pay"]], Format.JAEGER)))
    with Program(*OPEN, "-", "--no-browser", env=browser(folder), cwd=folder, stdin=piped) as program:
        url, _ = program.read_until("Ctrl-C ends it.")
        assert "POST /pay" in httpx.get(url).text
    assert (program.exit_code, program.stderr) == (0, "")
