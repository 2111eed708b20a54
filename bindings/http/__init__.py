"""HTTP/1.1 as bindings need it: a server for what networks post, a client for what they are asked. llhttp parses.

**Server.** `HttpServer(site, limits)` listens after `start(host, port, context)`, and calls `Site.refuse(request)` with
the head of each request, then `Site.answer(request, reply)` with the whole of it. The site calls `reply` once, at once
or later. What a site may rely on:

- requests come whole, one at a time per connection, and are answered in their order, pipelined ones too;
- what RFC 9112 calls malformed or ambiguous never reaches it: it is answered 400, 405, 413, 417, 431 or 501, and the
  connection ends behind the answers that are still due to earlier requests;
- nothing a caller sends grows without bound, and no caller is waited for without end: `Limits` says how large a body
  may be, how many connections there are, and how long a head, a body and the reading of answers may take; a head may
  have 16 KiB;
- beyond the bound on connections the oldest one that was never asked anything useful makes room, then the idlest;
- `stop` answers what is under way, for up to 10 s, and takes nothing more.

It does not decode content codings, follow `Upgrade`, or speak HTTP/2. `start` raises OSError, nothing else raises.
`CallbackListener` is the site that both kinds of network use.

**Client.** `HttpClient(limits, context, proxy)` makes requests over kept connections, one at a time on each:
`await request(method, origin, target, headers, body)` returns a `Response`, whatever its status. It raises

- `NotSent` if the request certainly did not reach the server: it may be repeated;
- `NoAnswer` if it may have: what became of it is not known (R9, an ambiguous submission). So nothing is repeated here.

Redirects are responses like any other. How many requests are under way is for the caller to bound. `close` ends all
connections; what is under way raises.

Both are held to RFC 9112 case by case (`tests/http/test_rfc9112.py`, `test_rfc9112_client.py`), and are fuzzed. Why
they are our own: `docs/decisions/http.md`.
"""
