"""Durable state: SQLite, numbered migrations, one writer.

`Store` is what the service opens; `Reader` answers people's questions, also when the service is down.
"""

from bridge.store.memory import NetworkMemory
from bridge.store.reader import Reader
from bridge.store.sqlite import Store

__all__ = ["NetworkMemory", "Reader", "Store"]
