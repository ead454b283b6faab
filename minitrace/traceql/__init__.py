"""TraceQL: text to a checked tree, and what it finds in spans that are in memory. Knows no SQL.

```
parse("{ status = error } | count() > 2")    a Query; str() of it is TraceQL again
evaluate(query, spans)                       the spansets it finds in one trace
metrics(query, traces, range)                the series it gives
```

lexer, parser and check make the tree of `ast`; fields, structure and evaluate run it; tally, series and compare count.
"""

from minitrace.traceql.evaluate import evaluate
from minitrace.traceql.metrics import metrics
from minitrace.traceql.parser import parse

__all__ = ["evaluate", "metrics", "parse"]
