"""What every T8 API shares (TS 29.122, TS 29.522): client, credentials, callbacks, problems, identities, links, times.

`bindings.nidd` stands on it, and so can device triggering, MSISDN-less MO SMS and monitoring events. Nothing here knows
one of these APIs.
"""
