"""The shop's web server.

POST /checkout   buys; the bank may decline
GET  /orders     the last orders
GET  /report     the same, a query for each order (the N+1 to find)
GET  /admin      for admins
GET  /hello      is anybody there?
"""

from __future__ import annotations

import json

import httpx
from flask import Flask, request
from opentelemetry import trace
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from shop import telemetry
from shop.database import Line, Order, Product, open_database
from shop.jobs import Jobs
from shop.payment import Declined, charge

Answer = tuple[dict[str, object], int]
ADMINS = {"alice"}

tracer = trace.get_tracer("shop.web")


def is_allowed(user: str) -> bool:
    """Whether this user may see what admins see; the decision is a span."""
    with tracer.start_as_current_span("authz", attributes={"user": user}) as span:
        allowed = user in ADMINS
        span.set_attribute("decision", "allow" if allowed else "deny")
        return allowed


def described(order: Order) -> dict[str, object]:
    total = sum(line.quantity * line.product.price for line in order.lines)
    return {"id": order.id, "customer": order.customer, "total": total}


def create_app(bank: httpx.Client, jobs: Jobs) -> Flask:
    """The application, with a database of its own."""
    app = Flask("shop")
    engine = open_database()
    telemetry.instrument(app, engine, bank)

    @app.post("/checkout")
    def checkout() -> Answer:
        body = json.loads(request.data)
        wanted: dict[str, int] = body["items"]
        with Session(engine, expire_on_commit=False) as session:
            products = session.scalars(select(Product).where(Product.sku.in_(wanted))).all()
            try:
                charge(bank, body["card"], sum(each.price * wanted[each.sku] for each in products))
            except Declined as declined:
                return {"error": str(declined)}, 402
            order = Order(customer="you", lines=[Line(sku=sku, quantity=count) for sku, count in wanted.items()])
            session.add(order)
            session.commit()
            return {"order": order.id, "job": jobs.put("receipt", order.id)}, 201

    @app.get("/orders")
    def orders() -> Answer:
        with Session(engine) as session:
            newest = select(Order).order_by(Order.id.desc()).limit(request.args.get("limit", 10, int))
            at_once = newest.options(selectinload(Order.lines).selectinload(Line.product))
            return {"orders": [described(order) for order in session.scalars(at_once)]}, 200

    @app.get("/report")
    def report() -> Answer:
        with Session(engine) as session:
            newest = select(Order).order_by(Order.id.desc()).limit(request.args.get("limit", 10, int))
            return {"orders": [described(order) for order in session.scalars(newest)]}, 200

    @app.get("/admin")
    def admin() -> Answer:
        if not is_allowed(request.headers.get("x-user", "")):
            return {"error": "for admins"}, 403
        with Session(engine) as session:
            return {"orders": len(session.scalars(select(Order)).all())}, 200

    @app.get("/hello")
    def hello() -> Answer:
        return {"hello": "world"}, 200

    return app
