"""Toward LwM2M servers. Whatever carries messages there is a `bridge.north.contract.NorthTransport`."""
