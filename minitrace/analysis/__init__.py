"""What a trace tells: its rows, own time, the critical path, repetitions, gaps, skew, and one sentence on top.

Pure functions on a `Tree`; they know neither the store nor a page, so that a test can ask the same.
"""
