"""The durable part of a store in memory."""

from collections.abc import Callable

from bridge.directory.keys import Key
from bridge.store.access import ApiKey, AuditEntry
from bridge.store.contract import StoredEndpoint
from bridge.store.in_memory.records import RecordTable
from bridge.store.in_memory.tables import Tables
from bridge.store.outbox import DeadLetter, Webhook


class Disk:
    """The durable part. A store opened on the disk of an earlier store finds the commits of that store."""

    def __init__(self) -> None:
        self.tables = Tables()
        self.records = RecordTable(self.tables)
        self.notes: dict[tuple[str, str], tuple[str, bytes]] = {}  # (network, key) → device, value
        self.keys: list[ApiKey] = []
        self.audit: list[AuditEntry] = []
        self.webhooks: dict[int, Webhook] = {}
        self.hooked = 0  # webhooks so far
        self.dead: dict[tuple[int, int], DeadLetter] = {}  # (webhook, event) → its letter
        self.audited = 0  # entries of the audit log so far
        self.posts = 0  # that were kept in the inbox so far
        self.tell_of_posts: list[Callable[[frozenset[int]], None]] = []  # called with the shards of new posts
        self.next_id = 1

    def found(self, key: Key, now: float) -> StoredEndpoint | None:
        """Return an endpoint as it is stored."""
        record = self.records.find(key)
        if record is None:
            return None
        owner = record.network, record.device
        notes = {key: value for (network, key), (device, value) in self.notes.items() if (network, device) == owner}
        return StoredEndpoint(record, self.tables.kept(record.id, now), notes)
