"""The store in one SQLite file: numbered migrations, one thread that writes."""

from bridge.store.sqlite.read_only import ReadOnlyStore
from bridge.store.sqlite.reader import Reader
from bridge.store.sqlite.store import SqliteStore

__all__ = ["ReadOnlyStore", "Reader", "SqliteStore"]
