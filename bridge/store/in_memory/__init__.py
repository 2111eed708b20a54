"""The store in memory, for tests and simulations, with faults on demand. Nothing outlives the process."""

from bridge.store.in_memory.cluster import ClusterRows, InMemoryNode
from bridge.store.in_memory.disk import Disk
from bridge.store.in_memory.faults import Faults
from bridge.store.in_memory.store import InMemoryStore
from bridge.store.in_memory.tables import Tables

__all__ = ["ClusterRows", "Disk", "Faults", "InMemoryNode", "InMemoryStore", "Tables"]
