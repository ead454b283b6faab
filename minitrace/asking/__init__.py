"""Where traces are asked for from outside: a running server, or a file.

Both are asked with the parameters of the server's own API and answer in its shape, so that nobody needs to know
which of them it was.

```
source    what a place can be asked, and how a trace reads that was found
server    a server, over HTTP
file      a file, also while a server has it open
gathering files of any kind as one of ours, for a server of its own
places    which of them is meant
arrivals  traces as they come
pages     more traces than a search tells at once
ids       what people call a trace
```
"""
