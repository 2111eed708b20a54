"""Bindings: the code that carries bytes over one kind of network without IP."""
