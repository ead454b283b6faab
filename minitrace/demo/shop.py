"""What happens in the shop, told as stories.

`SCENARIOS` is the list, with how many in a hundred requests each one makes. About 8 in 100 fail
somewhere, 10 in 100 ask the database once per product (`wishlist`, the N+1).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import NamedTuple

from minitrace import present
from minitrace.demo.failures import Failure, statement_timeout
from minitrace.demo.incident import Incident
from minitrace.demo.services import CART, CATALOG, CHECKOUT, FULFILMENT, INVENTORY, PAYMENT, SHIPPING, Release
from minitrace.demo.steps import (
    CATEGORIES,
    PRODUCTS,
    SEARCH_SQL,
    SEARCHES,
    STOCK_SQL,
    cached,
    described_order,
    fill_basket,
    get_cart,
    milliseconds,
    number,
    pack_parcel,
    pay,
    prices,
    product_list,
    quote_shipping,
    recommendations,
    reserve,
    send_confirmation,
    stock,
    store_order,
    visit,
)
from minitrace.demo.story import HTTP_STATUS, Story
from minitrace.model import Attributes, LogRecord, Severity, Span


class Telemetry(NamedTuple):
    """What came of a request: its spans in order of start, and what was logged meanwhile."""

    spans: list[Span]
    records: list[LogRecord]


def shop_trace(rng: Random, end_ns: int, release: Release | None = None) -> list[Span]:
    """The spans alone of one request to the shop."""
    return shop_request(rng, end_ns, release).spans


def shop_request(
    rng: Random, end_ns: int, release: Release | None = None, incident: Incident | None = None
) -> Telemetry:
    """What comes of one request to the shop, the last of its spans ending at `end_ns`.

    They may be of two traces, where a queue lies between and its consumer starts anew with a link.
    The same arguments give the same again, ids included.
    """
    story = Story(rng, release, is_short_of_connections=incident is not None and incident.meets(end_ns))
    (scenario,) = rng.choices(list(SCENARIOS), weights=list(SCENARIOS.values()))
    with suppress(Failure):  # the customer has seen it; its spans tell
        scenario(story)
    return Telemetry(story.finish(end_ns), story.records)


# What customers do


def browse(story: Story) -> None:
    """A category page, mostly from the cache."""
    category = story.rng.choice(CATEGORIES)
    with visit(story, "GET", "/c/{category}", f"/c/{category}"):
        with story.call(CATALOG, "GET", "/v1/products", f"/v1/products?category={category}"):
            cached(story, f"products:{category}", lambda: product_list(story), probability=0.7)
        with story.span("render CategoryPage", {"app.component.cached": False}):
            story.work(5)


def product_page(story: Story) -> None:
    """A product with all that surrounds it, fetched at once. Without recommendations it still works."""
    product = story.rng.choice(PRODUCTS)
    with visit(story, "GET", "/p/{sku}", f"/p/{product.sku}") as page:
        page.attributes["app.product.sku"] = product.sku
        page.attributes["app.product.price"] = product.price
        with story.parallel() as branch:
            with branch(), story.rpc(CATALOG, "shop.catalog.v1.Catalog/GetProduct"):
                cached(story, f"product:{product.sku}", lambda: prices(story, [product]), probability=0.8)
            with branch(), story.rpc(INVENTORY, "shop.inventory.v1.Inventory/CheckStock"):
                story.query(STOCK_SQL, table="stock", ms=0.9, rows=1)
            with branch():
                recommendations(story, product)
        with story.span("render ProductPage"):
            story.work(7)


def search(story: Story) -> None:
    """A search; many take a second or two in the database, some too long for it."""
    words = story.rng.choice(SEARCHES)
    is_slow = story.chance(0.45)
    with visit(story, "GET", "/search", f"/search?q={words}"):
        with story.call(CATALOG, "GET", "/v1/search", f"/v1/search?q={words}&limit=24") as found:
            with story.span("parse query", {"app.search.terms": [*words.split("+")]}):
                story.work(0.3)
            if story.chance(0.1):
                story.query(SEARCH_SQL, table="products", ms=3_000, spread=0.001, fails=statement_timeout())
            hits = story.rng.randint(0, 24)
            asked = story.query(SEARCH_SQL, table="products", ms=1_350 if is_slow else 38, spread=0.2, rows=hits)
            found.attributes["app.search.hits"] = hits
            found.attributes["app.search.hit_ratio"] = round(hits / 24, 3)
            if is_slow:
                story.event("slow query", {"threshold_ms": 500, "plan": "Seq Scan on products p"})
                story.log(Severity.WARN, f"slow query: {milliseconds(asked)} ms for {words!r}, Seq Scan on products p")
            story.log(Severity.INFO, f"search for {words!r}: {present.count(hits, 'hit')}", {"app.search.hits": hits})
        with story.span("render SearchPage"):
            story.work(6)


def view_cart(story: Story) -> None:
    """The cart, then prices and stock for what is in it."""
    basket = fill_basket(story.rng)
    with visit(story, "GET", "/cart", "/cart"):
        get_cart(story, basket)
        with story.parallel() as branch:
            with branch(), story.rpc(CATALOG, "shop.catalog.v1.Catalog/GetPrices"):
                prices(story, basket)
            with branch(), story.rpc(INVENTORY, "shop.inventory.v1.Inventory/CheckStock"):
                stock(story, basket)
        with story.span("render CartPage"):
            story.work(4)


def wishlist(story: Story) -> None:
    """A wish list, whose stock is asked for one product at a time: the N+1."""
    wishes = story.rng.randint(14, 40)
    with visit(story, "GET", "/wishlist", "/wishlist"):
        with story.call(CATALOG, "GET", "/v1/wishlists/{id}", f"/v1/wishlists/{number(story)}"):
            wishes_sql = "SELECT sku, added_at FROM wishes WHERE wishlist_id = $1 ORDER BY added_at DESC"
            story.query(wishes_sql, table="wishes", ms=2.4, rows=wishes)
        with (
            story.rpc(INVENTORY, "shop.inventory.v1.Inventory/CheckStock"),
            story.span("StockRepository.findAll", {"app.wishes": wishes}),
        ):
            for _ in range(wishes):
                story.query(STOCK_SQL, table="stock", ms=2.2, rows=1)
                story.work(0.15)
        with story.span("render WishlistPage"):
            story.work(5)


def checkout(story: Story, *, declined: bool = False) -> None:
    """An order, through nearly all services; afterwards workers send a mail and pack a parcel."""
    order = f"ORD-{number(story)}"
    basket = fill_basket(story.rng)
    with (
        visit(story, "POST", "/checkout", "/checkout") as page,
        story.call(CHECKOUT, "POST", "/v1/orders", "/v1/orders") as ordering,
    ):
        ordering.attributes.update(described_order(order, basket, story.chance(0.6)))
        get_cart(story, basket)
        with story.span("validate order"):
            story.work(1.4)
        with story.span("prepare order"), story.parallel() as branch:
            with branch(), story.rpc(CATALOG, "shop.catalog.v1.Catalog/GetPrices"):
                prices(story, basket)
            with branch(), story.call(SHIPPING, "POST", "/v1/quotes", "/v1/quotes"):
                quote_shipping(story)
            with branch(), story.rpc(INVENTORY, "shop.inventory.v1.Inventory/Reserve"):
                reserve(story, basket)
        with story.call(PAYMENT, "POST", "/v1/charges", "/v1/charges"):
            pay(story, order, declined=declined)
        store_order(story, basket)
        message = story.publish("order.created", order)
        with story.rpc(CART, "shop.cart.v1.Cart/Empty"):
            story.redis(f"DEL cart:{number(story)}")
        ordering.attributes[HTTP_STATUS] = page.attributes[HTTP_STATUS] = 201
    send_confirmation(story, message)
    pack_parcel(story, message)


def declined_checkout(story: Story) -> None:
    """An order that the bank does not pay for."""
    checkout(story, declined=True)


# What the shop does by itself


def import_stock(story: Story) -> None:
    """A supplier sends new stock; a job that runs by the clock takes all of it at once, with links."""
    skus = story.rng.sample(PRODUCTS, story.rng.randint(4, len(PRODUCTS)))
    with story.serve(INVENTORY, "PUT", "/v1/suppliers/{id}/stock", f"/v1/suppliers/{number(story)}/stock"):
        messages = [story.publish("stock.changed", product.sku) for product in skus]
    story.work(2_000)
    schedule: Attributes = {"app.job.name": "reconcile-stock", "app.job.schedule": "*/5 * * * *"}
    with story.span("reconcile-stock", schedule, service=FULFILMENT) as job:
        lock = story.query("SELECT pg_try_advisory_lock($1)", ms=0.6, rows=1)
        lock.attributes["app.lock.acquired"] = True
        with story.consume_batch(messages):
            for product in skus:
                with story.span("reconcile", {"app.product.sku": product.sku}):
                    story.work(0.4)
                    story.query("UPDATE stock_levels SET on_hand = $1 WHERE sku = $2", ms=3, table="stock_levels")
        story.query("INSERT INTO job_runs (name, started_at, changed) VALUES ($1, $2, $3)", ms=1.1, table="job_runs")
        job.attributes["app.job.changed"] = len(skus)
        story.log(Severity.INFO, f"job reconcile-stock finished, {present.count(len(skus), 'product')} changed")


def health(story: Story) -> None:
    """The orchestrator asks whether a service is well."""
    service = story.rng.choice([CATALOG, CHECKOUT, PAYMENT, INVENTORY])
    probe: Attributes = {"user_agent.original": "kube-probe/1.34", "client.address": "10.42.0.1"}
    with story.serve(service, "GET", "/healthz", "/healthz", probe):
        story.query("SELECT 1", ms=0.3, rows=1)


SCENARIOS: dict[Callable[[Story], None], float] = {
    browse: 27,
    product_page: 16,
    search: 12,
    view_cart: 12,
    wishlist: 10,
    checkout: 12,
    declined_checkout: 3,
    import_stock: 3,
    health: 5,
}
