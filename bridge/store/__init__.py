"""Durable state. `bridge.store.sqlite` keeps it in one SQLite file."""
