"""The store in a PostgreSQL database: numbered migrations, one thread that writes. Needs the extra `postgres`."""

from bridge.store.postgres.read_only import ReadOnlyPostgresStore
from bridge.store.postgres.store import PostgresStore

__all__ = ["PostgresStore", "ReadOnlyPostgresStore"]
