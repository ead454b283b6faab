"""Export one span to the server whose greeting is on standard input, and find it again."""

import json
import re
import sys
import time
import urllib.request

for line in sys.stdin:
    if found := re.search(r"open +(http\S+)", line):
        url = found[1]
        break
else:
    sys.exit("the server did not start")

span = {
    "traceId": "5b8efff798038103d269b633813fc60c",
    "spanId": "eee19b7ec3c1b174",
    "name": "from a wheel",
    "startTimeUnixNano": str(time.time_ns()),
    "endTimeUnixNano": str(time.time_ns()),
}
body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
request = urllib.request.Request(f"{url}/v1/traces", body, {"Content-Type": "application/json"})
with urllib.request.urlopen(request) as answer:
    assert answer.status == 200, answer.status
for path, wanted in (
    ("/api/search", span["traceId"]),
    ("/search", span["name"]),
    (f"/trace/{span['traceId']}", span["name"]),
):
    with urllib.request.urlopen(url + path) as answer:
        assert wanted in answer.read().decode(), path
print(f"1 span exported to {url} and found by the API, the search page and the trace page")
