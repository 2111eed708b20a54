"""What every store on an SQL database does alike (`bridge.store.contract.Store`)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Hashable, Sequence
from functools import partial
from itertools import chain
from typing import TypeVar

from bridge.delivery.downlinks import Downlink
from bridge.delivery.reports import UnattributedReport
from bridge.delivery.rows import Change
from bridge.delivery.uplinks import Uplink
from bridge.directory.keys import Key
from bridge.errors import StoreUnavailable
from bridge.quota.periods import day_of
from bridge.quota.usage import KEPT_DAYS, Usage
from bridge.store.contract import Done, FoundEndpoint, FoundWithNote
from bridge.store.done import future_and_done
from bridge.store.inbox import Inbox
from bridge.store.notes import Memories
from bridge.store.sealing import SEALED, Bodies, Seal
from bridge.store.sql import prune, resealing, unfinished, usage_rows
from bridge.store.sql.access import SqlAccess
from bridge.store.sql.asked import EndpointRequest, NoteWithEndpointRequest
from bridge.store.sql.batches import Batch
from bridge.store.sql.connection import Connection, value_of
from bridge.store.sql.direct import SqlDirect
from bridge.store.sql.directory import SqlDirectory
from bridge.store.sql.fleet import SqlFleet
from bridge.store.sql.loads import Loads
from bridge.store.sql.notes import SqlNotes
from bridge.store.sql.outbox import SqlOutbox
from bridge.store.sql.reader import SqlReader
from bridge.store.sql.reads import SqlReads
from bridge.store.sql.transactions import Transactions
from bridge.store.sql.writer import Writer

T = TypeVar("T")

ALL_EVERY = 24  # times that messages are removed, of which one looks at all; the others end at the first young ones
ID_BLOCK = 1000  # ids reserved ahead: a crash skips at most so many


class SqlStore:
    """Writes in one thread, loads endpoints in another, and answers queries in a third.

    A kind of database opens the connections and closes them. `writing` is used here before the thread begins.
    """

    def __init__(self, writing: Connection, transactions: Transactions, loads: Loads, reads: SqlReads) -> None:
        self._loop = asyncio.get_running_loop()
        self.loads = loads
        self.reads = reads
        self._writer = Writer(transactions, self._loop, self._told)
        self._next_id = _first_free_id(writing)
        self._reserved = self._next_id  # the first id that may not be given out before the mark is committed
        self._closing = False
        self._prunes = 0
        self._notes = SqlNotes(self)
        self.memories = Memories(self._notes)
        self.fleet = SqlFleet(self)
        self.access = SqlAccess(self)
        self.outbox = SqlOutbox(self)
        self.direct = SqlDirect(self)
        self.inbox: Inbox | None = None
        self.directory = SqlDirectory(self, value_of(writing, "SELECT count(*) FROM endpoint"))

    def _start(self) -> None:
        self._writer.start()
        self.loads.start()
        self._reserve()

    async def _stop(self) -> bool:
        """Finish all commits, report them, and end the threads. Return False if that was done before."""
        if self._closing:
            return False
        self._give_mark(self._next_id)
        self._closing = True
        await self._writer.stop()
        self.loads.stop()
        self.reads.close()
        return True

    # Writing

    def commit(
        self, changes: Sequence[Change], done: Done, *, endpoint: int | None = None, shard: int | None = None
    ) -> None:
        """Commit changes, all or none, without blocking; `done` is called in the event loop, in the order of commits.

        `done` gets None when the changes are durable, or StoreUnavailable. Then neither these changes are kept, nor
        later commits of the same `endpoint` that were given before this failure was reported. The caller must then
        drop the endpoint's state and load it again. Commits without changes are reported in their turn. `shard`: only
        if this node of a cluster holds that shard.
        """
        if self._closing:
            self._loop.call_soon(done, StoreUnavailable("the store is closed"))
            return
        self._writer.give(Batch(changes, None, done, endpoint, fence=None if shard is None else self._fence(shard)))

    def _fence(self, shard: int) -> tuple[int, int] | None:  # noqa: ARG002  # one process has all shards
        """Return the shard and the epoch that a commit needs, or None if there are no nodes."""
        return None

    def committed(
        self, changes: Sequence[Change], *, endpoint: int | None = None, shard: int | None = None
    ) -> asyncio.Future[None]:
        """Do what `commit` does; the returned future completes when the changes are durable."""
        future, done = future_and_done(self._loop)
        self.commit(changes, done, endpoint=endpoint, shard=shard)
        return future

    async def run(self, work: Callable[[Connection], T], *, directory: bool = False, shards: Collection[int] = ()) -> T:
        """Run `work` in the writer's thread, inside a commit; return its result when that is durable.

        `work` gets the writing connection. The function must not commit, must be quick, and may be run twice. If it
        raises a BridgeError, only its own changes are undone, and the error is raised here; any other failure is
        StoreUnavailable. `directory`: it changes the directory. `shards`: only if this node of a cluster holds them.
        """
        if self._closing:
            raise StoreUnavailable("the store is closed")
        future: asyncio.Future[T] = self._loop.create_future()

        def done(error: BaseException | None) -> None:
            if not future.done():
                if error is None:
                    future.set_result(batch.result)
                else:
                    future.set_exception(error)

        fences = tuple(one for one in map(self._fence, dict.fromkeys(shards)) if one is not None)
        batch = Batch((), work, done, None, directory=directory, fences=fences)
        self._writer.give(batch)
        return await future

    def write(
        self,
        work: Callable[[Connection], None],
        done: Done,
        *,
        touches: tuple[Hashable, ...] = (),
        device: tuple[str, str] | None = None,
    ) -> None:
        """Run `work` as `run` does. `done` is called when it is durable, as with `commit`.

        `device`: (network, device); only if this node of a cluster holds the shard of that device's endpoint.
        """
        if self._closing:
            self._loop.call_soon(done, StoreUnavailable("the store is closed"))
            return
        self._writer.give(Batch((), work, done, None, touches=touches, device=device))

    def next_id(self) -> int:
        """Return an id for a downlink, uplink or report: larger than any before it, in this run and in earlier ones."""
        if self._reserved - self._next_id < ID_BLOCK // 2:
            self._reserve()
        given = self._next_id
        self._next_id += 1
        return given

    def _reserve(self) -> None:
        if not self._closing:
            # In the queue before any batch that uses the new ids, so it is durable before or with them.
            self._reserved = self._next_id + ID_BLOCK
            self._give_mark(self._reserved)

    def _give_mark(self, next_id: int) -> None:
        def mark(connection: Connection) -> None:
            connection.execute("UPDATE id_mark SET next = ?", (next_id,))

        self._writer.give(Batch((), mark, lambda _error: None, None))

    def _told(self, group: Sequence[Batch]) -> None:
        """Let the loads know what is told now, so that none of them hands over what was read before it."""
        if self.loads.is_reading:
            kept = [batch for batch in group if batch.error is None]
            changed = [batch.endpoint for batch in kept], *(batch.touches for batch in kept)
            self.loads.told(chain.from_iterable(changed), directory=any(batch.directory for batch in kept))

    @property
    def backlog(self) -> int:
        """Return the number of commits without a result yet."""
        return self._writer.waiting

    @property
    def is_failing(self) -> bool:
        return self._writer.is_failing

    def _counters(self) -> dict[str, int]:
        writer = self._writer
        return {
            "rows": writer.rows,
            "groups": writer.groups,
            "failures": writer.failures,
            "waiting": writer.waiting,
        }

    def use_seal(self, seal: Seal) -> None:
        """Seal the bodies of messages from now on, and open what is sealed."""
        bodies = Bodies(seal)
        self._writer.transactions.bodies = self.loads.bodies = self.reads.bodies = bodies

    async def reseal_bodies(self, *, from_clear: bool) -> int:
        """Store the bodies that are there as they would be stored now; return how many were changed.

        `from_clear`: none of them was sealed before. Raises ConfigurationError and StoreUnavailable.
        """
        changed = 0
        for table in SEALED:
            after: int | None = 0
            while after is not None:
                work = partial(
                    resealing.part, bodies=self.reads.bodies, table=table, after=after, from_clear=from_clear
                )
                after, count = await self.run(work)
                changed += count
        return changed

    async def seal_clear_bodies(self, table: str, after: int) -> tuple[int | None, int]:
        """Seal the bodies in the clear of the next rows of a table; see the contract."""
        return await self.run(partial(resealing.part_in_the_clear, bodies=self.reads.bodies, table=table, after=after))

    # Reading

    def load(self, key: Key, now: float, done: FoundEndpoint) -> None:
        """Call `done` with the endpoint under `key` and its rows that the core needs at wall time `now`."""
        self.loads.ask(EndpointRequest(key, now, done))

    def load_with_note(self, network: str, key: str, now: float, done: FoundWithNote) -> None:
        """Call `done` with a note of a network and the endpoint of the device that the note belongs to."""
        self.loads.ask(NoteWithEndpointRequest(network, key, now, done))

    async def unfinished(self, shards: Collection[int] | None = None) -> AsyncIterator[Sequence[int]]:
        """Yield the endpoints with a message that has no outcome yet or needs attention, the uncertain ones first."""
        for part in (unfinished.uncertain, unfinished.live):
            after = -1
            while endpoints := await self.reads.ask(partial(part, after=after, shards=shards)):
                yield endpoints
                after = endpoints[-1]

    async def usage_in_turn(self, day: int) -> list[Usage]:
        """Return the usage of all endpoints since a day, as it is after all commits given before this call."""
        return await self.run(partial(usage_rows.since, day=day))

    async def prune(self, before: float) -> int:
        """Remove messages that were over, and that the core no longer needed, before wall time `before`; how many.

        Ids rise with time, so the first young messages are the end; but not all young times are true: a clock may have
        been ahead when they were written. So each `ALL_EVERY`th call, and the first one, goes on behind them.
        """
        await self.fleet.fold()  # what is removed may be the latest of its endpoint
        looks_at_all = self._prunes % ALL_EVERY == 0
        self._prunes += 1
        removed = 0
        for table in prune.TABLES:
            last = 0
            while True:
                after = last
                found = await self.reads.ask(partial(_look, table=table, after=after, before=before))
                last = found.last
                while found.can_go and after < last:
                    after, gone = await self.run(
                        partial(prune.part, table=table, after=after, last=last, before=before)
                    )
                    removed += gone
                if not last or not (found.are_old or looks_at_all):
                    break
        return removed + await self.run(partial(usage_rows.prune, before=day_of(before) - KEPT_DAYS))


def _look(reader: SqlReader, table: prune.Table, after: int, before: float) -> prune.Look:
    return prune.look(reader.connection, table, after, before)


def _first_free_id(connection: Connection) -> int:
    mark: int = value_of(connection, "SELECT next FROM id_mark")
    for table in (Downlink.TABLE, Uplink.TABLE, UnattributedReport.TABLE):
        largest: int = value_of(connection, f"SELECT coalesce(max(id), 0) FROM {table}")  # noqa: S608  # names of our own
        mark = max(mark, largest + 1)
    return mark
