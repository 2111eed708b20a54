"""What the directory needs of a store."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from bridge.directory.keys import Key
from bridge.directory.record import Draft, EndpointRecord
from bridge.directory.sources import Sources
from bridge.errors import BridgeError, DirectoryError

FoundRecord = Callable[[EndpointRecord | None, BridgeError | None], None]
"""Called with a record, or None if there is none; the second argument is StoreUnavailable or None."""


class DirectoryTable(Protocol):
    """The durable records. Failed reads and writes raise StoreUnavailable.

    Changes return when they are durable. They are all or none, and raise DirectoryError or StoreUnavailable. `now`
    returns the wall-clock time; it is called in the thread that changes the table.
    """

    @property
    def size(self) -> int:
        """Return the number of endpoints, without a wait."""

    def find(self, key: Key, done: FoundRecord) -> None:
        """Call `done` in the event loop with the endpoint that has this key.

        The result contains every change of the directory that was reported before `done` is called.
        """

    async def page(
        self, *, network: str | None, server: str | None, enabled: bool | None, prefix: str, after: str, limit: int
    ) -> list[EndpointRecord]:
        """Return at most `limit` endpoints in the order of their names, from the first one after the name `after`."""

    async def newest(self) -> int:
        """Return the id of the endpoint that was added last, of those that are there; 0 if there is none."""

    async def newer(self, than: int, limit: int) -> list[EndpointRecord]:
        """Return at most `limit` endpoints with larger ids, by rising id. Ids rise in the order of commits."""

    async def of_shard(self, shard: int, after: int, limit: int) -> list[EndpointRecord]:
        """Return at most `limit` endpoints of a shard with larger ids than `after`, by rising id.

        The others are not read.
        """

    async def count(self, *, network: str | None, server: str | None, enabled: bool | None, prefix: str) -> int:
        """Return the number of endpoints that pass the filter."""

    async def add(
        self, drafts: Sequence[Draft], sources: Sources | None, now: Callable[[], float]
    ) -> list[EndpointRecord]:
        """Insert checked drafts, each with a source of its own if `sources` are given."""

    async def change(
        self, wanted: Sequence[tuple[EndpointRecord, Draft]], now: Callable[[], float]
    ) -> list[EndpointRecord]:
        """Replace records by checked drafts. Return the records as they are now.

        Raises StoreUnavailable, also where another node of a cluster holds the shard of one: then none is changed.
        """

    async def remove(self, id_: int, now: Callable[[], float], shard: int | None = None) -> None:
        """Delete an endpoint. Its messages stay as history, so unfinished ones get an outcome.

        `shard`: that this node of a cluster must hold. Raises StoreUnavailable, also if it does not: then the endpoint
        stays.
        """

    async def renew(
        self, ids: Iterable[int], sources: Sources, now: Callable[[], float]
    ) -> list[tuple[EndpointRecord, EndpointRecord | DirectoryError]]:
        """Make sure that each of these endpoints has a source of `sources`.

        Return each record as it was, and as it is now or the reason why it has no source.
        """
