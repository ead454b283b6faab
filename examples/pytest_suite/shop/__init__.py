"""A small shop to test: a web server, a database, a bank, a worker that sends receipts.

Flask, SQLAlchemy and httpx are traced by OpenTelemetry's instrumentation, the rest by spans of its own.
"""
