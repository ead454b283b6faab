"""Products, and orders of them."""

from __future__ import annotations

from sqlalchemy import Engine, ForeignKey, StaticPool, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

PRODUCTS = {"A1": 1900, "B2": 450, "C3": 12000}  # the price in cents


class Base(DeclarativeBase):
    pass


class Product(Base):
    __tablename__ = "products"
    sku: Mapped[str] = mapped_column(primary_key=True)
    price: Mapped[int]


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str]
    lines: Mapped[list[Line]] = relationship()


class Line(Base):
    __tablename__ = "lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    sku: Mapped[str] = mapped_column(ForeignKey("products.sku"))
    quantity: Mapped[int]
    product: Mapped[Product] = relationship()


def open_database() -> Engine:
    """A database in memory, with three products and fifty orders."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(Product(sku=sku, price=price) for sku, price in PRODUCTS.items())
        for number in range(50):
            lines = [Line(sku=sku, quantity=1 + number % 3) for sku in PRODUCTS]
            session.add(Order(customer=f"customer-{number}", lines=lines))
        session.commit()
    return engine
