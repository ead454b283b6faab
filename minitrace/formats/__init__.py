"""Other systems' formats to spans, and Jaeger's back."""
