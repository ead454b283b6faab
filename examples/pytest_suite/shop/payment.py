"""Cards are charged by a bank, which is busy at times."""

from __future__ import annotations

import httpx
from opentelemetry import trace

ATTEMPTS = 3

tracer = trace.get_tracer("shop.payment")


class Declined(Exception):
    """The bank does not pay."""


def charge(bank: httpx.Client, card: str, amount: int) -> None:
    """Have the bank pay this many cents; asks again while it is busy.

    Raises:
        Declined: it does not, or was busy all the time.
    """
    with tracer.start_as_current_span("charge", attributes={"amount": amount}):
        request = bank.build_request("POST", "/charges", json={"card": card, "amount": amount})
        answer = bank.send(request)
        for _ in range(ATTEMPTS - 1):
            if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                answer = bank.send(request)
        if not answer.is_success:
            raise Declined(answer.text)
