"""Eight things to assert about traces."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from flask.testing import FlaskClient
from minitrace.testing import Traces

from shop.catalogue import take_in
from shop.jobs import Jobs

ROOT = Path(__file__).parent.parent


# 1. one span, one attribute
def test_checkout_is_traced(traces: Traces, client: FlaskClient) -> None:
    client.post("/checkout", json={"items": {"A1": 1}, "card": "good"})
    span = traces.one('{ name = "POST /checkout" }')
    assert span["http.response.status_code"] == 201


# 2. errors are marked as errors, and only there
def test_a_declined_card_is_an_error_of_the_charge_alone(traces: Traces, client: FlaskClient) -> None:
    client.post("/checkout", json={"items": {"A1": 1}, "card": "declined"})
    assert traces.find('{ name = "charge" && status = error }')
    traces.assert_no_errors(ignore='{ name = "charge" || name = "POST" }')


# 3. the shape of a request
def test_the_bank_is_asked_again_while_it_is_busy(traces: Traces, client: FlaskClient) -> None:
    client.post("/checkout", json={"items": {"A1": 1, "B2": 2}, "card": "busy"})
    traces.assert_tree("""
        POST /checkout
          SELECT
          charge { span.amount > 0 }
            POST x1..3
          INSERT x3
          ? send receipt
    """)


# 4. N+1, and a budget of queries
def test_the_list_of_orders_does_not_ask_for_each_order(traces: Traces, client: FlaskClient) -> None:
    client.get("/orders?limit=50")
    traces.assert_no_n_plus_one()
    traces.assert_budget("{ span.db.query.text != nil }", count=3)


# 5. a worker in another process
def test_the_worker_sends_the_receipt(traces: Traces, client: FlaskClient, jobs: Jobs) -> None:
    worker = subprocess.Popen([sys.executable, "-m", "shop.worker", str(jobs.path)], cwd=ROOT)
    try:
        client.post("/checkout", json={"items": {"A1": 1}, "card": "good"})
        [sent] = traces.wait_for('{ name = "POST /checkout" } >> { name = "send receipt" }', timeout=10)
        assert sent.service == "worker"
    finally:
        worker.terminate()
        worker.wait()


# 6. a server that tests share: only what this test asked for
def test_hello_is_one_trace(traces: Traces, live_server_url: str) -> None:
    httpx.get(f"{live_server_url}/hello", headers=traces.headers)
    traces.wait_for('{ name = "GET /hello" }')
    assert len({span.trace_id for span in traces.find()}) == 1


# 7. absence
def test_who_is_denied_never_reaches_the_database(traces: Traces, client: FlaskClient) -> None:
    client.get("/admin", headers={"x-user": "mallory"})
    assert traces.one('{ name = "authz" }')["decision"] == "deny"
    traces.assert_none("{ span.db.system.name != nil }")


# 8. async, and a snapshot of the tree
@pytest.mark.anyio
async def test_pictures_are_resized_between_parsing_and_publishing(traces: Traces) -> None:
    await take_in("spring")
    await traces.wait_for_async('{ name = "publish" }')
    assert (
        traces.tree(attrs=["document"])
        == """\
take in document=spring
  fetch
  parse
  resize picture x4
  publish
"""
    )
