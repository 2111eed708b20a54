"""HTTP/1.1 for bindings: a server for the networks' posts, a client for their APIs. llhttp parses.

**Server.** `HttpServer(site, limits)` listens after `start(host, port, context)`, and calls `Site.refuse(request)` with
the head of each request, then `Site.answer(request, reply)` with the whole of it. The site calls `reply` once, now or
later. What a site may rely on:

- requests are complete, one at a time per connection, and are answered in order, pipelined ones too;
- what RFC 9112 calls malformed or ambiguous never reaches it: it is answered 400, 405, 413, 417, 431 or 501, and the
  connection ends after the answers to earlier requests;
- nothing that a caller sends grows without limit, and no caller is waited for without limit: `Limits` says how large a
  body may be, how many connections there are, and how long a head, a body and the reading of answers may take; a head
  may have 16 KiB;
- beyond the limit of connections the oldest one without a useful request is closed, then the one idle for longest;
- `stop` answers running requests, for up to 10 s, and accepts nothing more.

The server does not decode content codings, follow `Upgrade`, or speak HTTP/2. `start` raises OSError, nothing else
raises. `CallbackListener` is the site that both kinds of network use.

**Client.** `HttpClient(limits, context, proxy)` makes requests over kept connections, one at a time on each:
`await request(method, origin, target, headers, body)` returns a `Response`, whatever its status. The client raises

- `NotSent` if the request certainly did not reach the server: it may be repeated;
- `NoAnswer` if it may have: its result is unknown (ambiguous submission, R9). So nothing is repeated here.

Redirects are responses like any other. The caller must limit the number of running requests. `close` ends all
connections; running requests raise.

Both are tested against RFC 9112 case by case (`tests/http/test_rfc9112.py`, `test_rfc9112_client.py`), and are fuzzed.
Why they are our own code: `docs/decisions/http.md`.
"""
