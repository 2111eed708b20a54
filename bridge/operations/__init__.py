"""What one can ask of a bridge: typed requests and results, and the one function that carries each out.

A skin (the local socket, the command line) names an operation, hands its request over as JSON and gets its result as
JSON, or a `BridgeError`: see `bridge.operations.registry`. Nobody else looks into the parts of the service.
"""
