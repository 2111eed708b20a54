"""The store itself: commits in groups, loads that answer later, and a disk on which another store can be opened."""

import asyncio
import contextlib
import logging
from asyncio import Future
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.delivery.downlinks import Downlink
from bridge.delivery.rows import FOREVER, Change
from bridge.delivery.states import DownlinkState, UplinkState
from bridge.delivery.uplinks import Uplink
from bridge.directory.keys import ByDevice, Key
from bridge.errors import BridgeError, StoreUnavailable
from bridge.quota.periods import day_of
from bridge.quota.usage import KEPT_DAYS, Usage
from bridge.store.contract import Done, FoundEndpoint, FoundWithNote
from bridge.store.done import future_and_done
from bridge.store.followers import Followers
from bridge.store.in_memory.access import InMemoryAccess
from bridge.store.in_memory.direct import InMemoryDirect
from bridge.store.in_memory.directory import InMemoryDirectory
from bridge.store.in_memory.disk import Disk
from bridge.store.in_memory.engine import Work
from bridge.store.in_memory.faults import Faults
from bridge.store.in_memory.fleet import InMemoryFleet
from bridge.store.in_memory.inbox import InMemoryInbox
from bridge.store.in_memory.notes import InMemoryNotes
from bridge.store.in_memory.outbox import InMemoryOutbox
from bridge.store.in_memory.reads import InMemoryReads, usage_since
from bridge.store.notes import Memories
from bridge.store.sealing import Seal

log = logging.getLogger(__name__)

PART = 1000  # endpoints in one part of `unfinished`


@dataclass(slots=True, eq=False)
class Batch:
    """Changes or work that are kept together or not at all."""

    changes: Sequence[Change]
    work: Work | None
    done: Done
    endpoint: int | None
    generation: int
    fence: tuple[int, int] | None = None  # the shard and the epoch that a node must hold
    error: BaseException | None = None
    result: Any = None

    @property
    def failed(self) -> bool:
        return isinstance(self.error, StoreUnavailable)


class InMemoryStore:
    """`bridge.store.contract.Store`. Make it in a running event loop."""

    def __init__(self, disk: Disk | None = None, faults: Faults | None = None) -> None:
        self.disk = disk or Disk()
        self.faults = faults or Faults()
        self.directory = InMemoryDirectory(self)
        self.fleet = InMemoryFleet(self)
        self.access = InMemoryAccess(self)
        self.outbox = InMemoryOutbox(self)
        self.direct = InMemoryDirect(self)
        self.inbox = InMemoryInbox(self)
        self.reads = InMemoryReads(self.disk.tables, self.readable)
        self.memories = Memories(InMemoryNotes(self))
        self.groups = self.rows = self.failures = self.loads = 0
        self.is_failing = False
        self._loop = asyncio.get_running_loop()
        self._given: list[Batch] = []
        self._asked: list[Callable[[StoreUnavailable | None], None]] = []
        self._readers: list[Future[None]] = []
        self._untold = 0
        self._generation = 0
        self._followers = Followers()
        self._closed = False
        self.faults.changed.append(self._go)

    async def close(self) -> None:
        """Finish all commits, report their results, and close. Later calls fail with StoreUnavailable."""
        self.faults.go()
        with contextlib.suppress(StoreUnavailable):
            await self.committed(())  # reported in its turn
        if not self._closed:
            self.inbox.close()
        self._closed = True
        self._go()

    # Writing

    def commit(
        self,
        changes: Sequence[Change],
        done: Done,
        *,
        endpoint: int | None = None,
        shard: int | None = None,  # noqa: ARG002  # one process has all shards
    ) -> None:
        self._give(Batch(changes, None, done, endpoint, self._generation))

    def committed(
        self, changes: Sequence[Change], *, endpoint: int | None = None, shard: int | None = None
    ) -> Future[None]:
        future, done = future_and_done(self._loop)

        self.commit(changes, done, endpoint=endpoint, shard=shard)
        return future

    def write(self, work: Work, done: Done) -> None:
        """Run `work` within a commit; `done` is called when that is durable, as with `commit`."""
        self._give(Batch((), work, done, None, self._generation))

    async def run(self, work: Work) -> Any:
        """Run `work` within a commit; return its result when that is durable. Raises what it raises."""
        future: Future[Any] = self._loop.create_future()

        def done(error: BaseException | None) -> None:
            if not future.done():
                future.set_result(batch.result) if error is None else future.set_exception(error)

        batch = Batch((), work, done, None, self._generation)
        self._give(batch)
        return await future

    def next_id(self) -> int:
        given = self.disk.next_id = max(self.disk.next_id, self.disk.tables.largest_id + 1)
        self.disk.next_id += 1
        return given

    def use_seal(self, seal: Seal) -> None:
        """Do nothing: what is in memory alone is not sealed."""

    async def reseal_bodies(self, *, from_clear: bool) -> int:  # noqa: ARG002  # as above
        return 0

    async def seal_clear_bodies(self, table: str, after: int) -> tuple[int | None, int]:  # noqa: ARG002  # as above
        return None, 0

    @property
    def backlog(self) -> int:
        return self._untold

    def status(self) -> dict[str, int]:
        counters = {"rows": self.rows, "groups": self.groups, "failures": self.failures}
        return {**counters, "waiting": self._untold, "bytes": 0, "volume_full": 0, "files_lost": 0}

    async def prune(self, before: float) -> int:
        def is_over(row: Any) -> bool:
            over = row.over if isinstance(row, Downlink) else row.state is not UplinkState.RECEIVED and row.due is None
            return bool(over) and row.finished_at is not None and row.finished_at < before and row.keep_until < before

        def work() -> int:
            gone = [row for kind in (Downlink, Uplink) for row in self.disk.tables.those(kind, is_over)]
            self.disk.records.remember(gone)
            gone += [row for row in self.disk.tables.of(Usage) if row.day < day_of(before) - KEPT_DAYS]
            for row in gone:
                self.disk.tables.drop(row)
            return len(gone)

        removed: int = await self.run(work)
        return removed

    async def usage_in_turn(self, day: int) -> list[Usage]:
        found: list[Usage] = await self.run(lambda: usage_since(self.disk.tables, day))
        return found

    def _give(self, batch: Batch) -> None:
        if self._closed:
            self._loop.call_soon(batch.done, StoreUnavailable("the store is closed"))
            return
        self._untold += 1
        self._given.append(batch)
        self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        if not self._given or self.faults.commits_wait:
            return
        group, self._given = self._given, []
        if self._followers:
            self._followers.forget(group[0].generation)
        for batch in group:
            if self._followers.follows(batch.endpoint, batch.generation):
                batch.error = StoreUnavailable("an earlier commit of this endpoint failed")
            elif self.faults.commits_fail:
                batch.error = self.faults.refused()
            else:
                self._apply(batch)
            if batch.failed:
                self._followers.failed(batch.endpoint)
        self._followers.group_ended(failed=any(batch.failed for batch in group))
        self._loop.call_soon(self._tell, group)

    def _apply(self, batch: Batch) -> None:
        try:
            if batch.work is None:
                self.disk.tables.apply(batch.changes)
            else:
                batch.result = batch.work()
        except BridgeError as refusal:
            batch.error = refusal
        except Exception as error:
            log.exception("a batch of endpoint %s cannot be stored", batch.endpoint)
            batch.error = StoreUnavailable(f"the store cannot take these changes: {error}")

    def _tell(self, group: list[Batch]) -> None:
        self.groups += 1
        self._untold -= len(group)
        failed = sum(batch.failed for batch in group)
        self.failures += failed
        self.is_failing = failed == len(group)
        self._generation += failed > 0
        self.rows += sum(len(batch.changes) for batch in group if batch.error is None)
        for batch in group:
            try:
                batch.done(batch.error)
            except Exception:
                log.exception("work after a commit failed")

    # Reading

    def load(self, key: Key, now: float, done: FoundEndpoint) -> None:
        self.ask(lambda error: done(None if error else self.disk.found(key, now), error))

    def load_with_note(self, network: str, key: str, now: float, done: FoundWithNote) -> None:
        def answer(error: StoreUnavailable | None) -> None:
            device, value = (None, None) if error else self.disk.notes.get((network, key), (None, None))
            done(value, self.disk.found(ByDevice(network, device), now) if device else None, error)

        self.ask(answer)

    def ask(self, answer: Callable[[StoreUnavailable | None], None]) -> None:
        """Answer a query later, together with all queries that come meanwhile."""
        self._asked.append(answer)
        self._loop.call_soon(self._answer)

    async def unfinished(self, shards: Collection[int] | None = None) -> AsyncIterator[Sequence[int]]:
        await self.readable()

        def counts(row: Downlink | Uplink) -> bool:
            return row.keep_until == FOREVER and (shards is None or row.shard in shards)

        downlinks = [*self.disk.tables.those(Downlink, counts)]
        uplinks = [*self.disk.tables.those(Uplink, counts)]
        in_doubt = (DownlinkState.SUBMITTING, DownlinkState.UNKNOWN)
        uncertain = {row.endpoint for row in downlinks if not row.over and row.state in in_doubt}
        live = {row.endpoint for row in downlinks if not row.over or row.due is not None}
        live |= {row.endpoint for row in uplinks if row.state is UplinkState.RECEIVED or row.due is not None}
        for endpoints in (sorted(uncertain), sorted(live)):
            for start in range(0, len(endpoints), PART):
                yield endpoints[start : start + PART]

    def _answer(self) -> None:
        if not self._asked or (self.faults.reads_wait and not self._closed):
            return
        asked, self._asked = self._asked, []
        self.loads += 1
        error = StoreUnavailable("the store is closed") if self._closed else None
        if self.faults.reads_fail:
            error = self.faults.unreadable()
        for answer in asked:
            try:
                answer(error)
            except Exception:
                log.exception("work after a read of the store failed")

    async def readable(self) -> None:
        """Return when reads are answered. Raises StoreUnavailable if they fail."""
        while self.faults.reads_wait and not self._closed:
            waiting: Future[None] = self._loop.create_future()
            self._readers.append(waiting)
            await waiting
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self.faults.reads_fail:
            raise self.faults.unreadable()

    def _go(self) -> None:
        self._flush()
        self._answer()
        for waiting in self._readers:
            if not waiting.done():
                waiting.set_result(None)
        self._readers.clear()
