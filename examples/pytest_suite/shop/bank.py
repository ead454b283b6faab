"""A bank that answers without a network: the card "declined" is declined, "busy" is charged at the third attempt."""

from __future__ import annotations

import json
from collections import Counter

import httpx


def sandbox() -> httpx.Client:
    """A client of such a bank."""
    asked: Counter[str] = Counter()

    def answer(request: httpx.Request) -> httpx.Response:
        card = json.loads(request.content)["card"]
        asked[card] += 1
        if card == "busy" and asked[card] % 3:
            return httpx.Response(503)
        return httpx.Response(402, text="card declined") if card == "declined" else httpx.Response(201)

    return httpx.Client(transport=httpx.MockTransport(answer), base_url="https://bank.example")
