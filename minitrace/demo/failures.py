"""How the shop fails: what its languages print when something goes wrong.

A failure is raised inside a span and passes through the spans around it; `story` marks each one.
"""

from __future__ import annotations

from minitrace.demo.services import Service


class Failure(Exception):
    """An error on its way up through the shop.

    `message` and `error_type` change at each border between services: the caller of a failed
    request knows the answer, not the exception behind it.
    """

    def __init__(self, error_type: str, message: str, stacktrace: str, *, http_status: int, grpc_status: str) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.message = message
        self.stacktrace = stacktrace
        self.http_status = http_status
        self.grpc_status = grpc_status
        self.is_recorded = False

    def leave(self, service: Service, answer: str) -> None:
        """Become what the caller of `service` sees: an answer that is not the one it wanted."""
        self.error_type = answer
        self.message = f"{service.name} answered {answer}: {self.message}"


def card_declined(charge: str) -> Failure:
    """Payment, in Node: the bank says no."""
    message = "Your card has insufficient funds."
    stacktrace = f"""\
CardDeclinedError: {message}
    at GatewayClient.raiseForOutcome (/app/dist/gateway/client.js:118:13)
    at GatewayClient.capture (/app/dist/gateway/client.js:74:10)
    at process.processTicksAndRejections (node:internal/process/task_queues:105:5)
    at async ChargeService.charge (/app/dist/charges/service.js:52:22)
    at async /app/dist/routes/charges.js:31:20 {{
  code: 'card_declined',
  declineCode: 'insufficient_funds',
  chargeId: '{charge}'
}}"""
    return Failure("CardDeclinedError", message, stacktrace, http_status=402, grpc_status="FAILED_PRECONDITION")


def out_of_stock(sku: str, wanted: int) -> Failure:
    """Inventory, in Java: somebody else was faster."""
    message = f"{sku}: {wanted} wanted, 0 in stock"
    stacktrace = f"""\
shop.demo.inventory.OutOfStockException: {message}
\tat shop.demo.inventory.StockLedger.reserve(StockLedger.java:143)
\tat shop.demo.inventory.ReservationService.reserveAll(ReservationService.java:88)
\tat shop.demo.inventory.InventoryGrpc$InventoryImpl.reserve(InventoryGrpc.java:61)
\tat io.grpc.stub.ServerCalls$UnaryServerCallHandler$UnaryServerCallListener.onHalfClose(ServerCalls.java:182)
\tat io.grpc.internal.ServerCallImpl$ServerStreamListenerImpl.halfClosed(ServerCallImpl.java:351)
\tat java.base/java.util.concurrent.ThreadPoolExecutor.runWorker(ThreadPoolExecutor.java:1144)
\tat java.base/java.lang.Thread.run(Thread.java:1583)
Caused by: org.hibernate.StaleObjectStateException: Row was already updated by another transaction\
 for entity [shop.demo.inventory.StockRow with id '{sku}']
\tat org.hibernate.persister.entity.AbstractEntityPersister.check(AbstractEntityPersister.java:2633)
\tat org.hibernate.engine.spi.ActionQueue.executeActions(ActionQueue.java:637)
\t... 23 more"""
    return Failure(
        "shop.demo.inventory.OutOfStockException", message, stacktrace, http_status=409, grpc_status="ABORTED"
    )


def statement_timeout() -> Failure:
    """Catalog, in Python: PostgreSQL gave up on a search."""
    message = "canceling statement due to statement timeout"
    stacktrace = f"""\
Traceback (most recent call last):
  File "/app/.venv/lib/python3.13/site-packages/fastapi/routing.py", line 314, in app
    raw_response = await run_endpoint_function(
                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/app/catalog/api.py", line 87, in search
    products = await repository.search(query, limit=limit)
               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/app/catalog/repository.py", line 142, in search
    await cursor.execute(SEARCH, {{"query": query, "limit": limit}})
  File "/app/.venv/lib/python3.13/site-packages/psycopg/cursor_async.py", line 97, in execute
    raise ex.with_traceback(None)
psycopg.errors.QueryCanceled: {message}"""
    return Failure("psycopg.errors.QueryCanceled", message, stacktrace, http_status=500, grpc_status="INTERNAL")


def model_timeout() -> Failure:
    """Recommendation, in Python: the language model does not answer in time."""
    message = "Request timed out."
    stacktrace = f"""\
Traceback (most recent call last):
  File "/app/.venv/lib/python3.13/site-packages/openai/_base_client.py", line 982, in request
    response = self._client.send(request, auth=self.custom_auth, stream=stream)
  File "/app/.venv/lib/python3.13/site-packages/httpx/_transports/default.py", line 118, in map_httpcore_exceptions
    raise mapped_exc(message) from exc
httpx.ReadTimeout: The read operation timed out

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/recommendation/ranking.py", line 64, in rerank
    completion = self.client.chat.completions.create(**request)
                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/app/.venv/lib/python3.13/site-packages/openai/_base_client.py", line 1000, in request
    raise APITimeoutError(request=request) from err
openai.APITimeoutError: {message}"""
    return Failure("openai.APITimeoutError", message, stacktrace, http_status=504, grpc_status="DEADLINE_EXCEEDED")
