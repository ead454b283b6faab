import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from minitrace import present
from minitrace.demo import send
from minitrace.errors import ConfigError, MinitraceError
from minitrace.model import LogRecord, Span
from minitrace.otlp import messages
from minitrace.otlp.decode import decode_traces
from minitrace.otlp.log_records import decode_logs

MINUTE = 60_000_000_000


@dataclass
class Answer:
    """What the server says to one request."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    hangs_up: bool = False  # after it, without having said so


@dataclass
class Receiver:
    """A server that gives `answers` in turn, then says 200, and keeps what it is sent."""

    endpoint: str = ""
    answers: list[Answer] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    connections: int = 0
    on_request: Callable[[], None] = lambda: None

    @property
    def requests(self) -> list[list[Span]]:
        """The spans of each request that has some."""
        return [decode_traces(body, is_json=False).spans for body in self.sent_to("/v1/traces")]

    @property
    def records(self) -> list[LogRecord]:
        return [record for body in self.sent_to("/v1/logs") for record in decode_logs(body, is_json=False).records]

    def sent_to(self, path: str) -> list[bytes]:
        return [body for body, sent_to in zip(self.bodies, self.paths, strict=True) if sent_to == path]

    @property
    def spans(self) -> list[Span]:
        return [span for spans in self.requests for span in spans]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            receiver.connections += 1

        def do_POST(self) -> None:
            receiver.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            receiver.paths.append(self.path)
            receiver.tokens.append(self.headers["Authorization"])
            receiver.on_request()
            answer = receiver.answers.pop(0) if receiver.answers else Answer()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)
            self.close_connection = answer.hangs_up

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield receiver
        server.shutdown()
        thread.join()


def silent(line: str) -> None:
    """No progress lines."""


def test_history_comes_first_in_few_requests_and_live_traces_one_by_one(receiver: Receiver) -> None:
    sent = send(receiver.endpoint, count=3, rate=1000, backfill=60, seed=1, report=silent)
    assert sent == len(receiver.spans)
    first, second, *live = (len({span.trace_id for span in spans}) for spans in receiver.requests)
    assert first >= 50 > second >= 10
    assert len(live) == 3
    assert max(live) <= 2
    assert receiver.paths == ["/v1/traces", "/v1/logs"] * 5


def test_history_is_of_the_last_quarter_of_an_hour(receiver: Receiver) -> None:
    before_ns = time.time_ns()
    send(receiver.endpoint, count=0, rate=1, backfill=40, seed=1, report=silent)
    ends = [span.end_ns for span in receiver.spans]
    assert before_ns - 16 * MINUTE < min(ends) < before_ns - 10 * MINUTE
    assert before_ns - 5 * MINUTE < max(ends) <= time.time_ns()


def test_live_traces_end_now(receiver: Receiver) -> None:
    before_ns = time.time_ns()
    send(receiver.endpoint, count=1, rate=1, backfill=0, seed=1, report=silent)
    assert before_ns <= max(span.end_ns for span in receiver.spans) <= time.time_ns()


def test_one_connection_is_used_for_all(receiver: Receiver) -> None:
    send(receiver.endpoint, count=5, rate=1000, backfill=5, seed=1, report=silent)
    assert (len(receiver.bodies), receiver.connections) == (12, 1)  # spans, then log records


def test_a_seed_sends_the_same_traces_again(receiver: Receiver) -> None:
    for _ in range(2):
        send(receiver.endpoint, count=4, rate=1000, backfill=0, seed=3, report=silent)
    ids = [span.span_id for span in receiver.spans]
    assert ids[: len(ids) // 2] == ids[len(ids) // 2 :]
    bodies = [record.body for record in receiver.records]
    assert bodies[: len(bodies) // 2] == bodies[len(bodies) // 2 :]


@pytest.mark.parametrize("status", [429, 503])
def test_what_a_busy_server_turned_away_is_sent_again(receiver: Receiver, status: int) -> None:
    receiver.answers = [Answer(status, headers={"Retry-After": "0"})]
    sent = send(receiver.endpoint, count=0, rate=1, backfill=5, seed=1, report=silent)
    first, second = receiver.sent_to("/v1/traces")
    assert first == second
    assert sent == len(receiver.requests[1])


def test_a_server_that_stays_busy_is_given_up(receiver: Receiver) -> None:
    receiver.answers = [Answer(503, b"the disk is slow\n", {"Retry-After": "0"})] * 10
    with pytest.raises(MinitraceError) as raised:
        send(receiver.endpoint, count=1, rate=1, backfill=0, report=silent)
    assert str(raised.value) == f"{receiver.endpoint} answered 503: the disk is slow (6 times); try again later"
    assert len(receiver.bodies) == 6


def test_a_connection_that_the_server_closed_meanwhile_is_opened_again(receiver: Receiver) -> None:
    receiver.answers = [Answer(hangs_up=True)]
    sent = send(receiver.endpoint, count=2, rate=1000, backfill=0, seed=1, report=silent)
    assert (sent, receiver.connections) == (len(receiver.spans), 2)


def test_spans_that_the_server_rejects_are_not_counted(receiver: Receiver) -> None:
    response = messages.ExportTraceServiceResponse()
    response.partial_success.rejected_spans = 2
    receiver.answers = [Answer(body=response.SerializeToString())]
    sent = send(receiver.endpoint, count=0, rate=1, backfill=5, seed=1, report=silent)
    assert sent == len(receiver.spans) - 2


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_server_without_logs_gets_the_spans_alone(receiver: Receiver, status: int) -> None:
    receiver.answers = [Answer(), Answer(status)]
    lines: list[str] = []
    sent = send(receiver.endpoint, count=3, rate=1_000, backfill=0, seed=1, report=lines.append)
    assert receiver.paths == ["/v1/traces", "/v1/logs", "/v1/traces", "/v1/traces"]
    assert (sent, lines[-1].split(", ")[-1]) == (len(receiver.spans), "0 log records")


def test_the_token_is_sent_with_every_request(receiver: Receiver) -> None:
    send(receiver.endpoint, count=1, rate=1, backfill=1, token="open sesame", seed=1, report=silent)
    assert receiver.tokens == ["Bearer open sesame"] * 4


@pytest.mark.parametrize(
    ("token", "sentence"),
    [
        ("", "{} wants a token; pass it with --token or MINITRACE_TOKEN"),
        ("guess", "{} does not take this token; pass its own with --token or MINITRACE_TOKEN"),
    ],
)
def test_a_missing_and_a_wrong_token_are_told_apart(receiver: Receiver, token: str, sentence: str) -> None:
    receiver.answers = [Answer(401)]
    with pytest.raises(MinitraceError) as raised:
        send(receiver.endpoint, count=0, rate=1, backfill=1, token=token, report=silent)
    assert str(raised.value) == sentence.format(receiver.endpoint)


STATUS = messages.Status(code=3, message="span 0 has no id\nmore").SerializeToString()


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(400, STATUS, {"Content-Type": "application/x-protobuf"}), "{} answered 400: span 0 has no id"),
        (Answer(404, b"\n<h1>Not here</h1>\n<p>", {"Content-Type": "text/html"}), "{} answered 404: <h1>Not here</h1>"),
        (Answer(500), "{} answered 500: Internal Server Error"),
    ],
)
def test_any_other_answer_is_quoted_by_its_first_line(receiver: Receiver, answer: Answer, sentence: str) -> None:
    receiver.answers = [answer]
    with pytest.raises(MinitraceError) as raised:
        send(receiver.endpoint, count=0, rate=1, backfill=1, report=silent)
    assert str(raised.value) == sentence.format(receiver.endpoint)


def test_where_nobody_answers_the_remedy_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(MinitraceError) as raised:
        send(f"http://127.0.0.1:{port}", count=1, rate=1, backfill=0, report=silent)
    assert str(raised.value) == (
        f'no minitrace answers at http://127.0.0.1:{port}; start one with "minitrace", or name another with --endpoint'
    )


@pytest.mark.parametrize("endpoint", ["localhost:4318", "http://", "ftp://localhost", "http://localhost:port"])
def test_an_endpoint_that_is_no_url_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"is not a URL such as http://localhost:4318"):
        send(endpoint, count=1, rate=1, backfill=0)


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^rate 0 is not a number of traces a second: use one above 0$"):
        send("http://localhost:4318", count=1, rate=0, backfill=0)


def test_stop_ends_it_after_the_request_on_its_way(receiver: Receiver) -> None:
    stop = threading.Event()
    receiver.on_request = stop.set
    sent = send(receiver.endpoint, count=1000, rate=0.01, backfill=0, seed=1, stop=stop, report=silent)
    assert receiver.paths == ["/v1/traces", "/v1/logs"]
    assert sent == len(receiver.spans)


def test_stop_does_not_wait_for_a_busy_server(receiver: Receiver) -> None:
    stop = threading.Event()
    receiver.on_request = stop.set
    receiver.answers = [Answer(503, headers={"Retry-After": "3600"})]
    assert send(receiver.endpoint, count=1, rate=1, backfill=0, stop=stop, report=silent) == 0


def test_a_last_line_tells_how_much_was_sent(receiver: Receiver) -> None:
    lines: list[str] = []
    sent = send(receiver.endpoint, count=2, rate=1000, backfill=3, seed=1, report=lines.append)
    assert lines == [f"sent 5 traces, {sent} spans, {len(receiver.records)} log records"]


def test_payments_wait_for_a_while_and_it_is_told_when_and_where(receiver: Receiver) -> None:
    told: list[str] = []
    before_ns = time.time_ns()
    send(receiver.endpoint, count=0, rate=1, backfill=300, seed=1, report=silent, announce=told.append)
    waits = {span.span_id: span for span in receiver.spans if span.name == "pg-pool.connect"}
    slow = [span for span in waits.values() if span.duration_ns > 1_000_000_000]
    assert 4 <= len(slow) < len(waits) / 3
    said = [record for record in receiver.records if str(record.body).startswith("connection pool exhausted")]
    assert {record.span_id for record in said} == {span.span_id for span in slow}
    assert {record.severity_text for record in said} == {"WARN"}
    began, ended = [
        record for record in receiver.records if "settlement-report" in str(record.body) and record not in said
    ]
    assert (began.trace_id, ended.trace_id) == (b"", b"")
    assert "8 workers with a connection each" in str(began.body)
    assert abs(ended.time_ns - (before_ns - 4 * MINUTE)) < MINUTE
    assert began.time_ns < min(record.time_ns for record in said)
    start, end = (present.clock(record.time_ns)[:5] for record in (began, ended))
    (line,) = told
    assert line.startswith(f"the shop's payments were slow from {start} to {end}: {receiver.endpoint}/red?from=")
    assert line.endswith("Z shows where")


def test_after_the_live_traces_it_is_told_again(receiver: Receiver) -> None:
    told: list[str] = []
    lines: list[str] = []
    send(receiver.endpoint, count=1, rate=1, backfill=100, seed=1, report=lines.append, announce=told.append)
    assert lines[-1:] == told


def test_nothing_is_told_of_slow_payments_where_none_was_sent(receiver: Receiver) -> None:
    told: list[str] = []
    send(receiver.endpoint, count=9, rate=1000, backfill=0, seed=1, report=silent, announce=told.append)
    assert told == []


def test_services_log_with_the_ids_of_their_spans_and_without_where_there_is_none(receiver: Receiver) -> None:
    send(receiver.endpoint, count=0, rate=1, backfill=200, seed=1, report=silent, announce=silent)
    spans = {(span.trace_id, span.span_id): span for span in receiver.spans}
    of_spans = [record for record in receiver.records if record.span_id]
    assert {record.severity_text for record in of_spans} == {"DEBUG", "INFO", "WARN", "ERROR"}
    for record in of_spans:
        span = spans[record.trace_id, record.span_id]
        assert record.service == span.service
        assert span.start_ns <= record.time_ns <= span.end_ns
    others = [str(record.body) for record in receiver.records if not record.trace_id]
    assert any(body.startswith("payment 5.0.3 starting") for body in others)
    assert sum("scheduler: " in body for body in others) == 3
