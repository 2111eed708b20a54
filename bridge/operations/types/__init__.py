"""Requests and results of operations: plain data that needs only msgspec, so that a skin loads quickly."""
