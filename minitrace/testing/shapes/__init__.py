"""Shapes: what a test expects of a tree of spans, as text or Python; fitted, and compared where it does not fit."""
