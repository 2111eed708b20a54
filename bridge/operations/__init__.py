"""The operations of a bridge: typed requests and results, and one function that carries out each.

A skin (the local socket, the REST API) names an operation, passes its request as JSON and gets its result as
JSON, or a `BridgeError`: see `bridge.operations.registry`. Nothing else reads the parts of the service.
"""
