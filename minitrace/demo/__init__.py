"""A believable online shop, with traces and logs, for a first look that is not empty.

```
services   who takes part: languages, resources, instrumentation scopes
failures   how they fail: types, messages, stack traces
story      a clock and `with` blocks to spans whose times agree
incident   what goes wrong for a while: a report takes the connections that payments need
steps      what the stories are made of: goods, customers, paying, packing
shop       what happens in the shop, told as stories
journal    what services log outside of requests
export     the stories to a running server, by OTLP over HTTP
```
"""

from minitrace.demo.export import send
from minitrace.demo.services import Release, read_attributes
from minitrace.demo.shop import shop_trace

__all__ = ["Release", "read_attributes", "send", "shop_trace"]
