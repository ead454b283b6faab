"""A believable online shop, for a first look that is not empty.

```
services   who takes part: languages, resources, instrumentation scopes
failures   how they fail: types, messages, stack traces
story      a clock and `with` blocks to spans whose times agree
steps      what the stories are made of: goods, customers, paying, packing
shop       what happens in the shop, told as stories
export     the stories to a running server, by OTLP over HTTP
```
"""

from minitrace.demo.export import send
from minitrace.demo.shop import shop_trace

__all__ = ["send", "shop_trace"]
