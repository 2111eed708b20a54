"""The store in one SQLite file: numbered migrations, one thread that writes. All SQL of the bridge is here.

`Store` is what the service opens; `Reader` answers people's questions, also when the service is down.
"""

from bridge.store.sqlite.memory import NetworkMemory
from bridge.store.sqlite.reader import Reader
from bridge.store.sqlite.store import Store

__all__ = ["NetworkMemory", "Reader", "Store"]
