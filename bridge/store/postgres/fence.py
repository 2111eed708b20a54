"""Keeps the changes of a shard out of a transaction unless this node holds the shard.

The rows of the shards stay locked FOR SHARE until the transaction ends. Whoever takes a shard changes its row, and so
waits for the transactions that are under way, or has the shard before them: then the epoch differs here.
"""

from collections.abc import Iterable

from bridge.store.postgres.connection import PostgresConnection
from bridge.store.sql.batches import Batch

_HELD = "SELECT id, epoch FROM shard WHERE id = ANY(?) AND holder = ? ORDER BY id FOR SHARE"
_OF_DEVICES = (
    "SELECT e.network, e.device, e.shard FROM unnest(?::text[], ?::text[]) AS d(network, device)"
    " JOIN endpoint e ON e.network = d.network AND e.device = d.device"
)


class Fence:
    """Of the node with this name, used in the thread that writes."""

    def __init__(self, node: str) -> None:
        self._node = node
        self.held: dict[int, int] = {}  # the epochs with which this node holds shards; replaced as a whole

    def lost(self, connection: PostgresConnection, batches: Iterable[Batch]) -> list[Batch]:
        """Lock the shards of batches in order, within a transaction; return the batches whose shard is not held."""
        held, batches = self.held, [*batches]
        needs = [(batch, *batch.fence) for batch in batches if batch.fence is not None]
        needs += [(batch, *one) for batch in batches for one in batch.fences]
        devices = [(batch, batch.device) for batch in batches if batch.device is not None]
        if devices:
            shard_of = _shards(connection, {device for _, device in devices})
            found = ((batch, shard_of.get(device)) for batch, device in devices)
            needs += [(batch, shard, held.get(shard, 0)) for batch, shard in found if shard is not None]
        if not needs:
            return []
        rows = connection.execute(_HELD, (sorted({shard for _, shard, _ in needs}), self._node)).fetchall()
        epochs: dict[int, int] = dict(rows)
        return [batch for batch, shard, epoch in needs if epochs.get(shard) != epoch]


def _shards(connection: PostgresConnection, devices: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
    networks, names = map(list, zip(*devices, strict=True))
    found = connection.execute(_OF_DEVICES, (networks, names)).fetchall()
    return {(network, device): shard for network, device, shard in found}
