"""Requests and results of operations: plain data that needs nothing but msgspec, so that a skin loads quickly."""
