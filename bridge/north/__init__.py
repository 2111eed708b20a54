"""Transports toward LwM2M servers; each is a `bridge.north.contract.NorthTransport`."""
