"""Durable state: SQLite, numbered migrations, one writer."""
