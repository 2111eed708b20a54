"""A ledger for reading while no service runs: nothing is created, locked or changed."""

from collections.abc import Callable, Collection, Hashable
from typing import TypeVar

from bridge.errors import NotRunning
from bridge.store.contract import Done
from bridge.store.sealing import Bodies, Seal
from bridge.store.sql.access import SqlAccess
from bridge.store.sql.connection import Connection
from bridge.store.sql.direct import SqlDirect
from bridge.store.sql.directory import SqlDirectory
from bridge.store.sql.fleet import SqlFleet
from bridge.store.sql.loads import Loads
from bridge.store.sql.outbox import SqlOutbox
from bridge.store.sql.reads import SqlReads

T = TypeVar("T")


class ReadOnlySqlStore:
    """The directory and the ledger of `bridge.store.contract.Store`, read only. The caller must close it."""

    def __init__(self, name: str, endpoints: int, loads: Loads, reads: SqlReads, close: Callable[[], None]) -> None:
        """`name` is for people; `close` closes what `loads` reads from."""
        self._name = name
        self._close = close
        self.loads = loads
        self.reads = reads
        self.fleet = SqlFleet(self, writable=False)
        self.access = SqlAccess(self)
        self.outbox = SqlOutbox(self)
        self.direct = SqlDirect(self)
        self.directory = SqlDirectory(self, endpoints)
        loads.start()

    def use_seal(self, seal: Seal) -> None:
        """Open bodies of messages that are sealed."""
        self.loads.bodies = self.reads.bodies = Bodies(seal)

    async def run(
        self,
        work: Callable[[Connection], T],  # noqa: ARG002  # as `Engine` has it
        *,
        directory: bool = False,  # noqa: ARG002  # likewise
        shards: Collection[int] = (),  # noqa: ARG002  # likewise
    ) -> T:
        raise self._refusal()

    def write(
        self,
        work: Callable[[Connection], None],  # noqa: ARG002  # as `Engine` has it
        done: Done,
        *,
        touches: tuple[Hashable, ...] = (),  # noqa: ARG002  # as above
        device: tuple[str, str] | None = None,  # noqa: ARG002  # as above
    ) -> None:
        done(self._refusal())

    def status(self) -> dict[str, int]:
        """Return the same counters as an open store; nothing was written."""
        names = ("rows", "groups", "failures", "waiting", "volume_full", "files_lost", "bytes")
        return dict.fromkeys(names, 0)

    async def close(self) -> None:
        self.loads.stop()
        self.reads.close()
        self._close()

    def _refusal(self) -> NotRunning:
        return NotRunning(f"{self._name} was opened for reading only")
