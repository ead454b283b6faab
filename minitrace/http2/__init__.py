"""HTTP/2 as one more way to reach an ASGI app: gRPC needs it, and whoever knows beforehand may ask for pages by it.

```
bytes ── connection: h2's frames and flow control ── stream: one request ── the app, as over HTTP/1.1
```

The app is the guarded one, so Host, token and sizes are judged where HTTP/1.1's are. What h2 finds wrong with a
connection ends that connection with GOAWAY, what is wrong with one request ends its stream with RST_STREAM.
"""
