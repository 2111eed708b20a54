"""What every T8 API shares (TS 29.122, TS 29.522): client, credentials, callbacks, problems, identities, links, times.

`bindings.nidd`, `bindings.sms` and `bindings.reachability` use it. Nothing here knows one
of these APIs.
"""
