"""Skins over the operations of a bridge: ways to call operations from outside the process."""
