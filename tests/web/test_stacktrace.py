"""Stack traces: which frames are one's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitrace.web.stacktrace import Stretch, stretches

PYTHON = """\
Traceback (most recent call last):
  File "/app/shop/cart.py", line 31, in add
    return self.store.put(item)
           ^^^^^^^^^^^^^^^^^^^^
  File "/venv/lib/python3.12/site-packages/redis/client.py", line 559, in execute
    return conn.retry()
  File "/usr/lib/python3.12/socket.py", line 852, in create_connection
    raise exceptions[0]
ConnectionError: refused
"""
NODE = """\
CardDeclinedError: no funds
    at GatewayClient.capture (/app/dist/client.js:74:10)
    at process.processTicksAndRejections (node:internal/process/task_queues:105:5)
    at next (/app/node_modules/express/lib/router.js:3:1)
    at async ChargeService.charge (/app/dist/service.js:52:22)
"""
JAVA = """\
shop.OutOfStockException: TEA
\tat shop.StockLedger.reserve(StockLedger.java:143)
\tat org.springframework.web.Servlet.service(Servlet.java:9)
\tat java.base/java.lang.Thread.run(Thread.java:1583)
Caused by: shop.Stale: version
\tat shop.Rows.update(Rows.java:7)
\t... 23 more
"""
GO = """\
goroutine 7 [running]:
main.handle(0x1)
\t/src/shop/main.go:12 +0x1d
net/http.(*conn).serve(0x2)
\t/usr/local/go/src/net/http/server.go:2009 +0x4d
"""
DOTNET = """\
Shop.Failure: no
   at Shop.Cart.Add(Item item) in /app/Cart.cs:line 3
   at System.Threading.Tasks.Task.Run()
"""


@pytest.mark.parametrize(
    ("text", "libraries"),
    [
        (PYTHON, [(4, 2)]),
        (NODE, [(2, 2)]),
        (JAVA, [(2, 2)]),
        (GO, [(2, 1)]),
        (DOTNET, [(1, 1)]),
        ("no stack at all", []),
    ],
    ids=["python", "node", "java", "go", "dotnet", "none"],
)
def test_frames_of_libraries_are_told_from_ones_own(text: str, libraries: list[tuple[int, int]]) -> None:
    found = [(one.text.count("\n"), one.frame_count) for one in stretches(text) if one.frame_count]
    assert found == libraries


def test_the_lines_of_a_frame_stay_with_it() -> None:
    assert stretches(PYTHON)[1].text.startswith('  File "/venv/lib/python3.12/site-packages/redis')
    assert stretches(PYTHON)[2] == Stretch("ConnectionError: refused\n")


@given(st.text() | st.lists(st.sampled_from([*PYTHON.splitlines(), *GO.splitlines(), "", "\t"])).map("\n".join))
def test_no_line_is_lost(text: str) -> None:
    assert "".join(one.text for one in stretches(text)) == text
