"""Tests that are meant to fail: run them to read what they say. docs/testing.md explains it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from flask.testing import FlaskClient
from minitrace.testing import Traces
from opentelemetry import trace

from shop.jobs import Jobs

ROOT = Path(__file__).parent.parent

tracer = trace.get_tracer("failing")


# Not a word about traces: the picture of what happened comes by itself.
def test_a_checkout_is_answered_with_201(traces: Traces, client: FlaskClient) -> None:
    answer = client.post("/checkout", json={"items": {"A1": 1}, "card": "declined"})
    assert answer.status_code == 201


# There are charges, and there are errors, but no expensive charge that failed.
def test_an_expensive_charge_is_declined(traces: Traces, client: FlaskClient) -> None:
    client.post("/checkout", json={"items": {"A1": 1}, "card": "declined"})
    traces.wait_for('{ name = "charge" && status = error && span.amount > 5000 }', timeout=0.2)


# Nothing is said about which errors are expected.
def test_checkout_has_no_errors(traces: Traces, client: FlaskClient) -> None:
    client.post("/checkout", json={"items": {"A1": 1}, "card": "busy"})
    traces.assert_no_errors()


# The receipt is another process's, and the order is inserted before its lines.
def test_the_shape_of_a_checkout(traces: Traces, client: FlaskClient) -> None:
    client.post("/checkout", json={"items": {"A1": 1, "B2": 1}, "card": "good"})
    traces.assert_tree("""
        POST /checkout
          SELECT
          charge { span.amount > 5000 }
            POST x1..3
          INSERT
          send receipt
    """)


# /report asks the database for each order; /orders asks three times.
def test_the_report_does_not_ask_for_each_order(traces: Traces, client: FlaskClient) -> None:
    client.get("/report?limit=50")
    traces.assert_no_n_plus_one()


# The worker has an environment of its own, in which nobody says where spans go.
def test_the_worker_is_traced(traces: Traces, jobs: Jobs) -> None:
    jobs.put("receipt", order_id=1)
    worker = subprocess.Popen([sys.executable, "-m", "shop.worker", str(jobs.path)], cwd=ROOT, env={})
    try:
        traces.wait_for('{ resource.service.name = "worker" }', timeout=1)
    finally:
        worker.terminate()
        worker.wait()


# A span that has not ended may still come by what must not be there.
def test_nothing_is_deleted(traces: Traces) -> None:
    tracer.start_span("clean up")
    traces.assert_none('{ name = "DELETE" }')
