"""The store of one node among several that share a PostgreSQL database ([cluster])."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import psycopg

from bridge.cluster.agreement import NOTHING_SAID, Agreement
from bridge.cluster.view import ClusterView
from bridge.errors import StoreUnavailable
from bridge.quota.allotment import Claim, Grant
from bridge.quota.pairs import Pair
from bridge.store.lease import Lease
from bridge.store.postgres import quota_rows, shard_rows
from bridge.store.postgres.clock import lease_clock
from bridge.store.postgres.connection import PostgresConnection, one_line, unreachable
from bridge.store.postgres.fence import Fence
from bridge.store.postgres.ids import BLOCK, NodeIds
from bridge.store.postgres.membership import Membership, agreements, check_releases
from bridge.store.postgres.owner_requests import PostgresOwnerRequests
from bridge.store.postgres.ownership import KEY, LOCK_OF_SCHEMA, WAIT
from bridge.store.postgres.schema import (
    OLDEST_WITH_STANDBY,
    check_server,
    check_whole,
    migrate,
    session,
    session_of_lease,
)
from bridge.store.postgres.store import PostgresStore
from bridge.store.sql.connection import Connection, value_of

T = TypeVar("T")

STEP_WAITS = 1  # seconds
HUNG = 0.3  # part of the lease for which a node waits for another one that hangs in a transaction
LONGEST_WAIT = 10.0  # seconds, however long the lease is

_SETTLED = " AND id < (SELECT coalesce(min(first_id), 9000000000000000000) FROM node)"
"""Ids of several nodes mix: a smaller one than the largest that is committed may still come."""


class NodeStore(PostgresStore):
    """`bridge.store.contract.Store` and `bridge.cluster.ledger.ClusterLedger`. Made by `join`.

    Commits with a shard are kept only while this node holds it. Shards are taken by `take`: at first there is none.
    """

    def __init__(
        self,
        where: str,
        writing: PostgresConnection,
        membership: Membership,
        lease: Lease,
        lost: Callable[[], None],
        alone_at: float,
    ) -> None:
        self._held = Fence(membership.node)
        super().__init__(where, writing, membership, lease, lost, alone_at, self._held)
        self._membership = membership
        self._asking = PostgresConnection(where, "; ".join(filter(None, [session(writing), shard_rows.SESSION])))
        self._threads = ThreadPoolExecutor(1, "store-cluster")
        first = _first_block(writing, self._next_id)
        self._ids = NodeIds(first, time.monotonic())
        self._asked_for_ids = False
        self.owner_requests = PostgresOwnerRequests(self._asking, self._ask)
        self._allotted = 0  # requests for allotments
        self.fleet.settled = _SETTLED
        self.access.is_shared = True
        self._notes.only = self._of_held

    @classmethod
    def join(
        cls,
        where: str,
        node: str,
        span: float,
        pause: float,
        lost: Callable[[], None],
        wait: float = WAIT,
        agreement: Agreement = NOTHING_SAID,
    ) -> "NodeStore":
        """Join the cluster of a database; call it in a running event loop. The call blocks.

        `span`, `pause`: seconds of the lease, and between two renewals. `lost` is called in another thread before the
        lease ends, or when the place is found to be lost, and must end everything at once. Raises LedgerInUse (a
        living node has the name, or a bridge without [cluster] uses the database), ConfigurationError (also
        if a living node has other settings than `agreement` that must be alike), StoreUnavailable.
        """
        with contextlib.ExitStack() as opened:
            asking = PostgresConnection(where)
            opened.callback(asking.close)
            try:
                check_server(asking, OLDEST_WITH_STANDBY)
                sets = filter(None, [session(asking), session_of_lease(span, min(HUNG * span, LONGEST_WAIT))])
                writing = PostgresConnection(where, "; ".join(sets), by_itself=False)
                failed = opened.enter_context(contextlib.ExitStack())
                failed.callback(writing.close)
                writing.connect()
                membership = Membership(writing, node, span, agreement)
                membership.lock(wait)
                _migrate_alone(asking)
                check_whole(writing)
                asked_at = lease_clock()
                may_act = membership.take_place()
                alone_at = lease_clock() + span if may_act else asked_at
                store = cls(where, writing, membership, Lease(span, asked_at, pause), lost, alone_at)
            except psycopg.Error as error:
                raise unreachable(where, error) from error
            failed.pop_all()
        store._start()
        store._keep_renewed(store._of_node)
        return store

    @property
    def _of_node(self) -> Lease:
        assert self._lease is not None  # noqa: S101  # given by `join`
        return self._lease

    # The cluster

    async def view(self) -> ClusterView:
        return await self._ask(lambda: shard_rows.view(self._asking))

    async def clock(self) -> float:
        return float(await self._ask(lambda: value_of(self._asking, quota_rows.CLOCK)))

    async def take(self, shards: Sequence[int]) -> Mapping[int, int]:
        epochs, first = await self._ask(lambda: shard_rows.take(self._asking, self._membership, sorted(shards), BLOCK))
        self._ids.restart(first, time.monotonic())
        self._held.held = self._held.held | epochs
        # A read that is under way may have begun before the former holder's last commit: it is repeated.
        self.loads.told((), directory=True)
        return epochs

    async def release(self, shard: int, epoch: int) -> None:
        self._held.held = {one: its for one, its in self._held.held.items() if one != shard}
        await self._ask(lambda: shard_rows.release(self._asking, self._membership, shard, epoch))

    async def accounted(self) -> tuple[Mapping[str, tuple[int, Pair]], float]:
        return await self._ask(lambda: quota_rows.accounted(self._asking))

    async def allot(self, asked: Sequence[Claim]) -> Sequence[Grant]:
        self._allotted += 1
        number = self._allotted
        return await self._ask(lambda: quota_rows.allot(self._asking, self._membership.incarnation, asked, number))

    async def agree(
        self, agreement: Agreement, check: Callable[[Mapping[str, Agreement]], None] = lambda _said: None
    ) -> None:
        await self._ask(lambda: shard_rows.agree(self._asking, self._membership, agreement, check))

    async def agreements(self) -> Mapping[str, Agreement]:
        return await self._ask(lambda: agreements(self._asking))

    async def drain(self, node: str, *, on: bool) -> None:
        await self._ask(lambda: shard_rows.drain(self._asking, node, on=on))

    async def unfit(self, *, on: bool) -> None:
        await self._ask(lambda: shard_rows.unfit(self._asking, self._membership, on=on))

    async def failing(self, shards: int, why: str) -> None:
        await self._ask(lambda: shard_rows.failing(self._asking, self._membership, shards, why))

    async def leaving(self) -> None:
        await self._ask(lambda: shard_rows.leave(self._asking, self._membership))

    async def _ask(self, question: Callable[[], T]) -> T:
        """Answer a question in the thread of the cluster's connection. Raises StoreUnavailable."""
        if self._closing:
            raise StoreUnavailable("the store is closed")
        try:
            return await self._loop.run_in_executor(self._threads, question)
        except psycopg.Error as error:
            raise StoreUnavailable(f"the nodes of the cluster cannot be read: {one_line(error)}") from error

    # What is different for a node

    def _of_held(self) -> str:
        """Return the condition for notes of this node's devices, or of no device."""
        shards = ", ".join(map(str, self._held.held)) or "-1"
        return f" AND (device = '' OR shard IN ({shards}))"

    def _fence(self, shard: int) -> tuple[int, int]:
        return shard, self._held.held.get(shard, 0)  # 0: of a shard that no node ever held

    def next_id(self) -> int:
        """Return an id for a downlink, uplink or report: larger than any before it in a shard of this node.

        Raises StoreUnavailable if the ledger has given no new ids for a while.
        """
        if not self._asked_for_ids and self._ids.needs_more(time.monotonic()):
            self._reserve()
        return self._ids.give()

    def _reserve(self) -> None:
        if self._closing or self._asked_for_ids:
            return
        self._asked_for_ids = True
        reserved: list[int] = []

        def work(connection: Connection) -> None:
            reserved[:] = [shard_rows.reserve(connection, BLOCK)]

        def done(error: BaseException | None) -> None:
            self._asked_for_ids = False
            if error is None:
                self._ids.add(reserved[0], time.monotonic())

        self.write(work, done)

    def _give_mark(self, next_id: int) -> None:
        """Do nothing: the blocks of all nodes are reserved in the ledger."""

    def _renew(self, lease: Lease) -> None:
        if self._ended.is_set():
            return
        if self._ids.needs_more(time.monotonic()):
            self._reserve()
        first, node = self._ids.next, (self._membership.node, self._membership.incarnation)

        def note(connection: Connection) -> None:
            connection.execute("UPDATE node SET first_id = ? WHERE name = ? AND incarnation = ?", (first, *node))

        self.write(note, lambda _error: None)
        self._loop.call_later(lease.pause, self._renew, lease)

    async def close(self) -> None:
        """Finish all commits, tell them, and leave the cluster. Later commits fail with StoreUnavailable."""
        if not self._closing:
            await super().close()
            await asyncio.to_thread(self._threads.shutdown)
            self._asking.close()


def _first_block(connection: Connection, free: int) -> int:
    """Reserve the first block of a node; `free` is an id that no row has, nor any with a larger id."""
    connection.execute("UPDATE id_mark SET next = ? WHERE next < ?", (free, free))
    return shard_rows.reserve(connection, BLOCK)


def _migrate_alone(connection: PostgresConnection) -> None:
    """Bring the schema up to date while no other node does so.

    Commits of the other nodes wait behind a step that waits for a lock, so it waits for less than a lease and is tried
    again. Raises psycopg.Error, ConfigurationError.
    """
    connection.execute(LOCK_OF_SCHEMA.replace("_try", "").format(""), (KEY + 1,))
    connection.execute(f"SET lock_timeout = '{STEP_WAITS}s'")
    try:
        check_releases(connection)
        migrate(connection)
    finally:
        connection.execute("SELECT pg_advisory_unlock_all()")
