"""What the directory wants of a store."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from bridge.directory.record import Draft, Record
from bridge.directory.sources import Sources
from bridge.errors import DirectoryError


class DirectoryTable(Protocol):
    """The durable records. Reads return what is committed; they raise StoreUnavailable.

    Changes return when they are durable. They are all or none, and raise DirectoryError or StoreUnavailable. `now` is
    called for the wall-clock time, in whatever thread changes the table.
    """

    def with_id(self, id_: int) -> Record | None:
        """Return the endpoint with this id, or None."""

    def with_name(self, name: str) -> Record | None:
        """Return the endpoint with this endpoint client name, or None."""

    def with_device(self, network: str, device: str) -> Record | None:
        """Return the endpoint with this canonical device address, or None."""

    def with_source(self, scheme: str, source: int) -> Record | None:
        """Return the endpoint that has this source now, or None."""

    def page(
        self, *, network: str | None, server: str | None, enabled: bool | None, prefix: str, after: str, limit: int
    ) -> list[Record]:
        """Return at most `limit` endpoints in the order of their names, from the first one after the name `after`."""

    def count(self, *, network: str | None, server: str | None, enabled: bool | None, prefix: str) -> int:
        """Return the number of endpoints."""

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
