"""Sockets toward LwM2M servers: each endpoint has one stable source address, so that a server can tell it by that.

`build` in `bridge.north.scheme` gives the transport that a configuration asks for; all of them are a `NorthTransport`.
"""
