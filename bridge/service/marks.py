"""Sets of endpoint ids, in one bit each."""

from bridge.directory.allocation import shard_of_new
from bridge.north.udp.prefixes import SHARDS


class IdSet:
    """A set of ids. Ids are consecutive, so that a million take 125 kB; a Python set would take 60 MB."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def __contains__(self, id_: int) -> bool:
        return id_ >> 3 < len(self._bits) and bool(self._bits[id_ >> 3] >> (id_ & 7) & 1)

    def add(self, id_: int) -> None:
        """Mark an id, which is not negative."""
        missing = (id_ >> 3) + 1 - len(self._bits)
        if missing > 0:
            self._bits.extend(bytes(missing))
        self._bits[id_ >> 3] |= 1 << (id_ & 7)

    def discard(self, id_: int) -> None:
        """Remove a mark, if there is one."""
        if id_ in self:
            self._bits[id_ >> 3] &= ~(1 << (id_ & 7))


class ShardIdSet:
    """A set of endpoint ids that can be emptied shard by shard, in about the same memory."""

    def __init__(self) -> None:
        self._regular: dict[int, IdSet] = {}  # shard → those of ids to which the directory gives this shard first
        self._others: dict[int, set[int]] = {}  # shard → other ids: few, if the address range has room

    def __contains__(self, id_: int) -> bool:
        marks = self._regular.get(shard_of_new(id_))
        if marks is not None and id_ // SHARDS in marks:
            return True
        return any(id_ in ids for ids in self._others.values())

    def add(self, id_: int, shard: int) -> None:
        """Mark an id, which is not negative, in its shard."""
        if shard != shard_of_new(id_):
            self._others.setdefault(shard, set()).add(id_)
            return
        marks = self._regular.get(shard)
        if marks is None:
            marks = self._regular[shard] = IdSet()
        marks.add(id_ // SHARDS)

    def discard(self, id_: int) -> None:
        """Remove a mark, if there is one."""
        marks = self._regular.get(shard_of_new(id_))
        if marks is not None:
            marks.discard(id_ // SHARDS)
        for ids in self._others.values():
            ids.discard(id_)

    def forget(self, shard: int) -> None:
        """Remove all marks of a shard."""
        self._regular.pop(shard, None)
        self._others.pop(shard, None)
