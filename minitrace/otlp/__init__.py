"""OTLP bytes to spans, and back."""
