"""HTTP in, HTTP out. Knows no SQL."""
