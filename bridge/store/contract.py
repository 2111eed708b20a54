"""The contract of a store, which keeps everything that must outlive the process.

A store has three repositories. The *ledger* keeps the rows of every endpoint; they change by `commit`. The *directory*
(`bridge.directory.contract.DirectoryTable`) keeps endpoints and their device addresses. The *memories* keep the notes
of each network instance (`bindings.contract.Memory`, `bridge/store/notes.py`). In addition, `reads` answers queries of
operations about messages, and `fleet` (`bridge/store/fleet.py`) those about endpoints. `access`
(`bridge/store/access.py`) keeps keys and the audit log, `outbox` (`bridge/store/outbox.py`) events for others, and
`direct` (`bridge/store/direct.py`) notes of requests that came by the API. `inbox` (`bridge/store/inbox.py`) keeps
posts of networks that another bridge received.

All methods are called in the event loop, and none blocks it. A read that cannot be answered at once calls `done` later,
also in the event loop. `tests/store` checks every implementation against this contract.
"""

from asyncio import Future
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bridge.delivery.downlinks import Downlink
from bridge.delivery.rows import Change
from bridge.delivery.states import DownlinkState, UplinkState
from bridge.delivery.uplinks import Response, Uplink, Verdict
from bridge.directory.contract import DirectoryTable
from bridge.directory.keys import Key
from bridge.directory.record import EndpointRecord
from bridge.errors import BridgeError
from bridge.quota.report import UsageSum
from bridge.quota.usage import Usage
from bridge.relay.model import EndpointRows
from bridge.store.access import AccessTable
from bridge.store.direct import DirectTable
from bridge.store.fleet import Fleet
from bridge.store.inbox import Inbox
from bridge.store.notes import Memories
from bridge.store.outbox import Outbox
from bridge.store.sealing.seal import Seal


@dataclass(frozen=True, slots=True)
class StoredEndpoint:
    """One endpoint as it is stored: its record, the rows that the core still needs, and the notes of its device."""

    record: EndpointRecord
    kept: EndpointRows
    notes: Mapping[str, bytes] = field(default_factory=dict)


Done = Callable[[BaseException | None], None]
"""Called with None when a commit is durable, else with the StoreUnavailable that says why nothing of it was kept."""

FoundEndpoint = Callable[[StoredEndpoint | None, BridgeError | None], None]
"""Called with an endpoint, or None if there is none; the second argument is StoreUnavailable or None."""

FoundWithNote = Callable[[bytes | None, StoredEndpoint | None, BridgeError | None], None]
"""Called with a note, and the endpoint of its device; the third argument is StoreUnavailable or None."""


class Ledger(Protocol):
    """The rows of all endpoints."""

    def commit(
        self, changes: Sequence[Change], done: Done, *, endpoint: int | None = None, shard: int | None = None
    ) -> None:
        """Commit changes, all or none. `done` is called later, in the order of commits.

        `done` gets None when the changes are durable, or StoreUnavailable. Then neither these changes are kept, nor
        later commits of the same `endpoint` that were given before this failure was reported. The caller must then drop
        the endpoint's state and load it again. A commit without changes is reported in its turn.

        `shard`: in a cluster, nothing is kept unless this node holds that shard with the epoch that it has now. A
        commit without a shard can come from any node.
        """

    def committed(
        self, changes: Sequence[Change], *, endpoint: int | None = None, shard: int | None = None
    ) -> Future[None]:
        """Do what `commit` does; the returned future completes when the changes are durable."""

    def next_id(self) -> int:
        """Return an id for a downlink, uplink or report: larger than any before it, in this run and in earlier ones."""

    def load(self, key: Key, now: float, done: FoundEndpoint) -> None:
        """Call `done` with the endpoint that has this key, and all its rows that the core needs at wall time `now`.

        The result contains every commit, and every change of the directory, that was reported before
        `done` is called. Endpoints that are requested at one time are read together. No commit of the endpoint may be
        waiting: as long as one is, the endpoint is in memory.
        """

    def load_with_note(self, network: str, key: str, now: float, done: FoundWithNote) -> None:
        """Call `done` with a note of a network and the endpoint of the device that the note belongs to.

        Otherwise it does what `load` does.
        """

    def unfinished(self, shards: Collection[int] | None = None) -> AsyncIterator[Sequence[int]]:
        """Yield, in parts, the endpoints with a message that has no outcome yet or is due (start, R32).

        `shards`: only endpoints of these shards.

        Those with a downlink of which it is unknown whether the network accepted it come first. An endpoint may come
        twice."""

    async def usage_in_turn(self, day: int) -> list[Usage]:
        """Return what `Reads.usage_since` does, as of all commits before this call.

        No later commit is included. Raises StoreUnavailable.
        """

    async def prune(self, before: float) -> int:
        """Remove messages that were finished, and no longer needed by the core, before wall time `before`.

        Return how many were removed. Other commits go on meanwhile. Raises StoreUnavailable.
        """

    @property
    def backlog(self) -> int:
        """Return the number of commits without a result yet."""

    @property
    def is_failing(self) -> bool:
        """Return whether every commit of the latest transaction failed."""

    def status(self) -> Mapping[str, int]:
        """Return the numbers of `bridge.operations.types.state.StoreStatus`, by name."""


class Reads(Protocol):
    """Queries of operations. An answer may take long and contains what is committed. All raise StoreUnavailable."""

    async def downlinks(
        self,
        *,
        endpoint: int | None = None,
        state: DownlinkState | None = None,
        over: bool | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Downlink]:
        """Return downlinks, newest first; with `before` only those with a smaller id."""

    async def uplinks(
        self,
        *,
        endpoint: int | None = None,
        state: UplinkState | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Uplink]:
        """Return uplinks, newest first; with `before` only those with a smaller id."""

    async def downlink(self, id_: int) -> Downlink | None:
        """Return one downlink, or None."""

    async def uplink(self, id_: int) -> Uplink | None:
        """Return one uplink, or None."""

    async def answers(self, downlinks: Sequence[Downlink]) -> list[Response | Verdict]:
        """Return the device's responses to these requests and the bridge's own answers to them, oldest first."""

    async def usage(
        self,
        first: int,
        last: int,
        *,
        by_endpoint: bool = True,
        endpoint: int | None = None,
        network: str | None = None,
        after: tuple[int, str, int] | None = None,
        limit: int = 100,
    ) -> list[UsageSum]:
        """Return usage from one day to another, both included, by day, network, and on request by endpoint.

        Days are numbers of `bridge.quota.periods.day_of`. `after` is the day, network and endpoint (0 if
        not by endpoint) of the last sum of an earlier answer.
        """

    async def usage_since(self, day: int) -> list[Usage]:
        """Return the usage of all endpoints together since a day: a row for each day, network, group, hour and minute.

        `endpoint` and `shard` of these rows are 0.
        """

    async def downlink_counts(self, endpoint: int | None = None) -> Counter[tuple[DownlinkState, bool]]:
        """Return the number of downlinks by state, and by whether the state is the outcome."""

    async def uplink_counts(self, endpoint: int | None = None) -> Counter[UplinkState]:
        """Return the number of uplinks by state."""

    async def has_uplink(
        self, endpoint: int, duplicate_key: str | None, digest: bytes, after: float, before: float
    ) -> bool:
        """Return whether an endpoint has an uplink with this key, or with this digest between two times."""


class ReadOnlyStore(Protocol):
    """What can be asked while no service runs. The caller that opens it must close it."""

    @property
    def directory(self) -> DirectoryTable: ...

    @property
    def reads(self) -> Reads: ...

    @property
    def fleet(self) -> Fleet: ...

    @property
    def access(self) -> AccessTable: ...

    @property
    def outbox(self) -> Outbox: ...

    @property
    def direct(self) -> DirectTable: ...

    def use_seal(self, seal: Seal) -> None:
        """Seal the bodies of messages in the database from now on, and open those that are sealed."""

    def status(self) -> Mapping[str, int]:
        """Return the numbers of `bridge.operations.types.state.StoreStatus`, by name."""

    async def close(self) -> None: ...


class Store(Ledger, ReadOnlyStore, Protocol):
    """The whole store. The caller that opens it must close it."""

    @property
    def memories(self) -> Memories:
        """Return the notes of all network instances."""

    @property
    def inbox(self) -> Inbox | None:
        """Return the posts that wait for the bridge that serves; None if no other bridge can reach the store."""

    async def reseal_bodies(self, *, from_clear: bool) -> int:
        """Store the bodies that are there as they would be stored now (`use_seal`); return how many were changed.

        `from_clear`: none of them was sealed before. Raises ConfigurationError (none of the keys opens one) and
        StoreUnavailable.
        """

    async def seal_clear_bodies(self, table: str, after: int) -> tuple[int | None, int]:
        """Seal the bodies in the clear of the next rows of a table after the id `after`, if there is a key.

        Return the last id, None when there are no further rows, and the number of bodies that were sealed. A row that
        is changed meanwhile stays as it was written. Raises StoreUnavailable.
        """

    async def close(self) -> None:
        """Finish all commits, report their results, and close. Later calls fail with StoreUnavailable."""
