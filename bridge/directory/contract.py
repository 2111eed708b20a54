"""What the directory wants of a store."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from bridge.directory.keys import Key
from bridge.directory.record import Draft, Record
from bridge.directory.sources import Sources
from bridge.errors import BridgeError, DirectoryError

FoundRecord = Callable[[Record | None, BridgeError | None], None]
"""Takes a record, or None where there is none; the second argument is StoreUnavailable or None."""


class DirectoryTable(Protocol):
    """The durable records. What cannot be read or written raises StoreUnavailable.

    Changes return when they are durable. They are all or none, and raise DirectoryError or StoreUnavailable. `now` is
    called for the wall-clock time, in whatever thread changes the table.
    """

    @property
    def size(self) -> int:
        """The number of endpoints, without a wait."""

    def find(self, key: Key, done: FoundRecord) -> None:
        """Call `done` in the event loop with the endpoint that has this key.

        No change of the directory that was told before `done` is called is missing in what `done` gets.
        """

    async def page(
        self, *, network: str | None, server: str | None, enabled: bool | None, prefix: str, after: str, limit: int
    ) -> list[Record]:
        """Return at most `limit` endpoints in the order of their names, from the first one after the name `after`."""

    async def count(self, *, network: str | None, server: str | None, enabled: bool | None, prefix: str) -> int:
        """Return the number of endpoints that pass the filter."""

    async def add(self, drafts: Sequence[Draft], sources: Sources | None, now: Callable[[], float]) -> list[Record]:
        """Insert checked drafts, each with a source of its own if `sources` are given."""

    async def change(self, wanted: Sequence[tuple[Record, Draft]], now: Callable[[], float]) -> list[Record]:
        """Put checked drafts in the place of records. Return the records as they are now."""

    async def remove(self, id_: int, now: Callable[[], float]) -> None:
        """Delete an endpoint. Its messages stay as history, so those that were under way get an outcome."""

    async def renew(
        self, ids: Iterable[int], sources: Sources, now: Callable[[], float]
    ) -> list[tuple[Record, Record | DirectoryError]]:
        """See to it that each of these endpoints has a source out of `sources`.

        Return each record as it was, and as it is now or the reason why it has none.
        """
