"""The trace, made with py_zipkin in two services, between which go B3 headers; prints its id.

python b3.py HOST PORT V2_JSON|V2_PROTO3
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from threading import Thread

from py_zipkin import Encoding, Kind
from py_zipkin.request_helpers import create_http_headers, extract_zipkin_attrs_from_headers
from py_zipkin.transport import SimpleHTTPTransport
from py_zipkin.zipkin import zipkin_span


def main(host: str, port: str, encoding: str) -> None:
    """One order, whose card has expired."""
    sent = {"transport_handler": SimpleHTTPTransport(host, int(port)), "encoding": Encoding[encoding]}

    def bank(headers: Mapping[str, str]) -> None:
        received = extract_zipkin_attrs_from_headers(headers)
        with zipkin_span("bank", "authorize", kind=Kind.SERVER, zipkin_attrs=received, **sent) as authorize:
            authorize.add_annotation("declined")
            authorize.update_binary_annotations({"error": "card expired"})

    with (
        zipkin_span("shop", "checkout", kind=Kind.SERVER, sample_rate=100, **sent) as checkout,
        zipkin_span("shop", "charge", kind=Kind.CLIENT) as charge,
    ):
        charge.update_binary_annotations({"retries": "3", "ratio": "0.25", "vip": "true", "items": "book,pen"})
        request = Thread(target=bank, args=[create_http_headers()])
        request.start()
        request.join()
    print(checkout.zipkin_attrs.trace_id.rjust(32, "0"))


if __name__ == "__main__":
    main(*sys.argv[1:])
