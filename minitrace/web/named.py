"""What a request for a page names: the store, the trace, the address of its page; and the colours of services."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.requests import Request

from minitrace.web.address import Address
from minitrace.web.lookup import read_id

if TYPE_CHECKING:  # see opened.py
    from minitrace.store.store import Store

NO_TRACE_ID = "This is not a trace id. One has up to 32 hex digits, such as 4bf92f3577b34da6a3ce929d0e0e4736."


def store_of(request: Request) -> Store:
    """The store of the application."""
    store: Store = request.app.state.store
    return store


def trace_id_of(request: Request) -> bytes:
    """The trace that the path names. Raises HTTPException."""
    trace_id = read_id(request.path_params["trace_id"], 32)
    if trace_id is None:
        raise HTTPException(404, NO_TRACE_ID)
    return trace_id


def address_of(request: Request, trace_id: bytes) -> Address:
    """The address of a trace's page, with what is known of this request's parameters."""
    base = f"{request.scope.get('root_path', '')}/trace/{trace_id.hex()}"
    return Address(base, request.query_params.multi_items())


async def slots_of(store: Store) -> dict[str, int]:
    """The colour of each service: its place in the order in which they first appeared."""
    return {name: slot for slot, name in enumerate(await store.services())}
