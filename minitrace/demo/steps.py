"""What the stories of the shop are made of: goods, customers, and what services do for an order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

from minitrace.demo.failures import Failure, card_declined, model_timeout, out_of_stock
from minitrace.demo.incident import EXHAUSTED, POOL_SIZE, SAID
from minitrace.demo.services import CART, EMAIL, FRONTEND, FULFILMENT, RECOMMENDATION, SHIPPING
from minitrace.demo.story import HTTP_STATUS, MS, Story
from minitrace.model import Attributes, Kind, Severity, Span


@dataclass(frozen=True)
class Product:
    """Something to buy."""

    sku: str
    name: str
    price: float


PRODUCTS = [
    Product("TEA-OOLONG-100", "Oolong tea, 100 g", 14.5),
    Product("TEA-SENCHA-250", "Sencha, 250 g", 22.0),
    Product("POT-IRON-06", "Cast iron pot, 0.6 l", 64.0),
    Product("CUP-STONE-2", "Stoneware cups, pair", 28.9),
    Product("KETTLE-GOOSE-1", "Gooseneck kettle, 1 l", 89.0),
    Product("TIN-CHERRY-S", "Cherry bark tin, small", 41.75),
    Product("WHISK-BAMBOO", "Bamboo whisk", 19.2),
    Product("SCALE-POCKET", "Pocket scale, 0.1 g", 33.4),
]
CATEGORIES = ["green-tea", "black-tea", "oolong", "pots", "cups", "accessories"]
SEARCHES = ["oolong", "gift+for+tea+lover", "iron+pot", "matcha+whisk", "cups+blue", "kettle+1l"]
BROWSERS = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/26.1 Safari",
    "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 Chrome/142.0.0.0 Mobile",
]

SEARCH_SQL = """\
SELECT p.id, p.sku, p.name, p.price, b.name AS brand, avg(r.stars) AS stars, count(r.id) AS reviews
FROM products p
JOIN brands b ON b.id = p.brand_id
JOIN product_categories pc ON pc.product_id = p.id
JOIN categories c ON c.id = pc.category_id
LEFT JOIN reviews r ON r.product_id = p.id AND r.visible
WHERE (p.name ILIKE $1 OR p.description ILIKE $1 OR b.name ILIKE $1 OR c.name ILIKE $1)
  AND p.listed_at <= now() AND p.delisted_at IS NULL
GROUP BY p.id, b.name
ORDER BY avg(r.stars) DESC NULLS LAST, count(r.id) DESC
LIMIT 24"""
PRICES_SQL = "SELECT sku, name, price, tax_class FROM products WHERE sku = ANY($1)"
STOCK_SQL = "SELECT on_hand, reserved FROM stock WHERE sku = ? AND warehouse = 'ROT-1'"
NEAREST_SQL = "SELECT sku FROM product_vectors ORDER BY embedding <=> $1 LIMIT 40"


@contextmanager
def visit(story: Story, method: str, route: str, path: str) -> Iterator[Span]:
    """A customer's request, at the frontend, which logs each."""
    customer: Attributes = {
        "server.address": "shop.example",
        "client.address": f"203.0.113.{story.rng.randint(1, 254)}",
        "user_agent.original": story.rng.choice(BROWSERS),
        "session.id": story.rng.randbytes(8).hex(),
        "app.customer.returning": story.chance(0.4),
    }
    with story.serve(FRONTEND, method, route, path, customer) as page:
        began_ns = story.now_ns
        try:
            yield page
        except Failure as failure:
            severity = Severity.ERROR if failure.http_status >= 500 else Severity.WARN
            story.log(severity, f"{method} {path} failed: {failure.message}")
            raise
        story.log(Severity.INFO, f"{method} {path} answered in {(story.now_ns - began_ns) // MS} ms")


def number(story: Story) -> int:
    """A number as customers and orders have."""
    return story.rng.randint(10_000, 99_999)


def milliseconds(span: Span) -> int:
    """How long a span took, as a log line says it."""
    return (span.end_ns - span.start_ns) // MS


def fill_basket(rng: Random) -> list[Product]:
    """What a customer has chosen."""
    return rng.sample(PRODUCTS, rng.randint(2, 5))


def described_order(order: str, basket: list[Product], has_coupon: bool) -> Attributes:
    """An order as attributes, of every type."""
    return {
        "app.order.id": order,
        "app.order.skus": [product.sku for product in basket],
        "app.order.items": len(basket),
        "app.order.total": round(sum(product.price for product in basket), 2),
        "app.order.currency": "EUR",
        "app.order.has_coupon": has_coupon,
    }


def cached(story: Story, key: str, load: Callable[[], None], *, probability: float) -> None:
    """A value from Redis; loaded and put there where it is missing."""
    is_hit = story.chance(probability)
    story.redis(f"GET {key}", hit=is_hit)
    if is_hit:
        return
    story.event("cache.miss", {"cache.key": key})
    story.log(Severity.DEBUG, f"not in the cache: {key}")
    load()
    story.redis(f"SET {key} ? EX 300")


def product_list(story: Story) -> None:
    """A page of a category, with its count."""
    page_sql = "SELECT id, sku, name, price FROM products WHERE category_id = $1 ORDER BY rank LIMIT 48"
    story.query(page_sql, table="products", ms=6, rows=48)
    story.query("SELECT count(*) FROM products WHERE category_id = $1", table="products", ms=2.5, rows=1)


def prices(story: Story, basket: list[Product]) -> None:
    """The prices of products."""
    story.query(PRICES_SQL, table="products", ms=2.2, rows=len(basket))


def stock(story: Story, basket: list[Product]) -> None:
    """What is left of products: all in one query, or, after a bad release, one product at a time."""
    if story.release.is_regressed:
        for _ in basket:
            story.query(STOCK_SQL, table="stock", ms=1.6, rows=1)
        return
    stock_sql = "SELECT sku, on_hand FROM stock WHERE sku IN (?, ?, ?, ?, ?, ?)"
    story.query(stock_sql, table="stock", ms=1.6, rows=len(basket))


def get_cart(story: Story, basket: list[Product]) -> None:
    """The customer's cart, from Redis."""
    with story.rpc(CART, "shop.cart.v1.Cart/Get") as cart:
        story.redis(f"HGETALL cart:{number(story)}", hit=True)
        cart.attributes["app.cart.items"] = len(basket)


def recommendations(story: Story, product: Product) -> None:
    """What goes with a product, put in order by a language model; left out where that fails."""
    try:
        with story.call(RECOMMENDATION, "GET", "/v1/related/{sku}", f"/v1/related/{product.sku}"):
            cached(story, f"related:{product.sku}", lambda: rank(story, product), probability=0.5)
    except Failure as failure:
        story.event("recommendations left out", {"reason": failure.message})
        story.log(Severity.WARN, f"recommendations left out: {failure.message}", {"app.product.sku": product.sku})


def rank(story: Story, product: Product) -> None:
    """Candidates by similarity, then a model's choice among them."""
    story.query(NEAREST_SQL, table="product_vectors", ms=11, rows=40)
    prompt = f"Which six of these go best with {product.name}? Answer with SKUs."
    request: Attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4.1-mini",
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 200,
        "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": prompt}]}],
        "server.address": "api.openai.com",
        "server.port": 443,
    }
    with story.span("chat gpt-4.1-mini", request, role="llm", kind=Kind.CLIENT) as chat:
        if story.chance(0.2):
            story.work(4_000, spread=0.001)  # the client's timeout
            raise model_timeout()
        story.work(780)
        chat.attributes |= {
            "gen_ai.response.model": "gpt-4.1-mini-2025-04-14",
            "gen_ai.response.id": f"chatcmpl-{story.rng.randbytes(12).hex()}",
            "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.usage.input_tokens": story.rng.randint(620, 980),
            "gen_ai.usage.output_tokens": story.rng.randint(40, 90),
        }


def reserve(story: Story, basket: list[Product]) -> None:
    """Stock for each product, in one transaction; now and then somebody was faster."""
    with story.span("ReservationService.reserveAll"):
        story.query("START TRANSACTION", ms=0.3)
        for product in basket:
            reserve_sql = "UPDATE stock SET reserved = reserved + ? WHERE sku = ? AND version = ?"
            updated = story.query(reserve_sql, table="stock", ms=1.9)
            updated.attributes["app.product.sku"] = product.sku
        if story.chance(0.08):
            story.query("ROLLBACK", ms=0.4)
            raise out_of_stock(basket[-1].sku, 1)
        story.query("COMMIT", ms=2.8)
        story.log(Severity.INFO, f"reserved {', '.join(product.sku for product in basket)}")


def quote_shipping(story: Story) -> None:
    """Offers of three carriers at once, the cheapest taken."""
    with story.span("collect offers"), story.parallel() as branch:
        for carrier in ("parcels", "sparrow", "northpost"):
            with branch():
                story.external("POST", f"api.{carrier}.example", "/v2/rates", ms=45)
    story.event("offer chosen", {"app.carrier": "sparrow", "app.price": 4.9, "app.days": [2, 3]})
    story.log(Severity.INFO, "sparrow chosen of 3 offers: 4.90 EUR, 2 to 3 days", {"app.carrier": "sparrow"})


def pay(story: Story, order: str, *, declined: bool) -> None:
    """A risk check and a charge; the bank's gateway is at times too busy at first."""
    with story.span("assess risk") as risk:
        story.redis(f"INCR velocity:{number(story)}")
        story.work(3)
        risk.attributes["app.risk.score"] = round(story.rng.betavariate(2, 9), 4)
    with story.span("charge card", {"app.order.id": order, "app.card.network": "visa"}):
        tries = 0
        while not declined and tries < 2 and story.chance(0.1):
            story.external("POST", GATEWAY, "/v1/charges", ms=60, status=503, resend=tries)
            story.event("retry", {"delay_ms": 100 * 2**tries})
            story.log(Severity.WARN, f"{GATEWAY} answered 503, trying again in {100 * 2**tries} ms")
            story.work(100 * 2**tries, spread=0.05)
            tries += 1
        story.external("POST", GATEWAY, "/v1/charges", ms=240, status=402 if declined else 201, resend=tries)
        if declined:
            raise card_declined(f"ch_{story.rng.randbytes(8).hex()}")
    with story.connect(pool_size=POOL_SIZE):
        wait_for_connection(story)
    charge_ms = 190 if story.release.is_regressed else 2.6
    story.query("INSERT INTO charges (order_id, amount, state) VALUES ($1, $2, $3)", table="charges", ms=charge_ms)
    story.log(Severity.INFO, f"charged for {order}", {"app.order.id": order})


def wait_for_connection(story: Story) -> None:
    """No time at all, or seconds while somebody else has them."""
    if not story.is_short_of_connections:
        story.now_ns += MS // 20
        return
    story.log(Severity.WARN, EXHAUSTED, SAID)
    story.work(2_300, spread=0.2)


GATEWAY = "gateway.acquirer.example"


def store_order(story: Story, basket: list[Product]) -> None:
    """The order and its lines, in one transaction."""
    with story.span("orders.Store.Insert"):
        story.query("BEGIN", ms=0.2)
        story.query("INSERT INTO orders (id, customer_id, total) VALUES ($1, $2, $3)", table="orders", ms=2)
        for _ in basket:
            line_sql = "INSERT INTO order_lines (order_id, sku, quantity, price) VALUES ($1, $2, $3, $4)"
            story.query(line_sql, table="order_lines", ms=1.2)
        story.query("COMMIT", ms=3.5)
        story.log(Severity.INFO, f"order stored, {len(basket)} lines")


def send_confirmation(story: Story, message: Span) -> None:
    """A mail to the customer, in the trace of the order."""
    with story.consume(EMAIL, message, after_ms=60):
        with story.span("render order_confirmation.erb", {"app.template": "order_confirmation"}):
            story.work(12)
        smtp: Attributes = {"server.address": "smtp.internal", "server.port": 587, "app.mail.recipients": 1}
        story.leaf("SMTP send", smtp, role="smtp", kind=Kind.CLIENT, ms=85)
        story.log(Severity.INFO, "order_confirmation sent to 1 recipient")


def pack_parcel(story: Story, message: Span) -> None:
    """A parcel for the order, in a trace of its own: packing may be hours later."""
    with story.consume_apart(FULFILMENT, message, after_ms=400):
        story.query("SELECT sku, quantity FROM order_lines WHERE order_id = $1", table="order_lines", ms=2, rows=3)
        with story.call(SHIPPING, "POST", "/v1/parcels", "/v1/parcels") as booked:
            story.external("POST", "api.sparrow.example", "/v2/parcels", ms=130, status=201)
            booked.attributes[HTTP_STATUS] = 201
        with story.span("print label", {"app.printer": "ROT-1/4"}):
            story.work(30)
            story.log(Severity.INFO, "label printed on ROT-1/4")
        story.query("UPDATE orders SET state = 'packed' WHERE id = $1", table="orders", ms=2.2)
