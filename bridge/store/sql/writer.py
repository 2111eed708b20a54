"""The writer thread: it commits all waiting batches as one group, and reports that once.

What a group becomes in the database is in `bridge.store.sql.transactions`.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from itertools import chain, islice
from queue import SimpleQueue

from bridge.store.sql.batches import Batch, failed_of
from bridge.store.sql.transactions import Transactions

FURTHER_TURNS = 2
"""Turns of the event loop for which batches are collected while each turn brings more of them. Without traffic this
costs one empty poll; under load a turn is about half a millisecond, and larger groups cost less per batch."""

MAX_GROUP = 1024  # batches in one transaction: bounds how long the first of them waits (about 25 ms)

log = logging.getLogger(__name__)


class Writer:
    """Owns the writing connection from `start` to `stop`. Everything but the thread itself runs in the event loop.

    `told` is called with every group before its batches are reported.
    """

    def __init__(
        self,
        transactions: Transactions,
        loop: asyncio.AbstractEventLoop,
        told: Callable[[Sequence[Batch]], None],
    ) -> None:
        self.transactions = transactions
        self._told = told
        self._loop = loop
        self._queue: SimpleQueue[list[Batch] | None] = SimpleQueue()
        self._collected: list[Batch] = []
        self._generation = 0
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._stopped: asyncio.Future[None] = loop.create_future()
        self.waiting = 0  # batches without a result yet
        self.groups = 0
        self.rows = 0
        self.failures = 0
        self.is_failing = False

    def start(self) -> None:
        self._thread.start()

    def give(self, batch: Batch) -> None:
        """Queue a batch. All batches of one turn of the event loop, or of a few that follow, wake the thread once."""
        batch.generation = self._generation
        self.waiting += 1
        self._collected.append(batch)
        if len(self._collected) == 1:
            self._loop.call_soon(self._turn_ended, 0, FURTHER_TURNS)

    async def stop(self) -> None:
        """Finish all batches, report them, and end the thread."""
        self._flush()
        self._queue.put(None)
        await self._stopped
        self._thread.join()

    def _turn_ended(self, before: int, further: int) -> None:
        """Wake the thread, unless this turn of the event loop brought more batches, and `further` turns are left."""
        count = len(self._collected)
        if further and count > before:
            self._loop.call_soon(self._turn_ended, count, further - 1)
        else:
            self._flush()

    def _flush(self) -> None:
        if self._collected:
            self._queue.put(self._collected)
            self._collected = []

    def _tell(self, group: list[Batch], rows: int) -> None:
        self.groups += 1
        self.rows += rows
        self.waiting -= len(group)
        self._told(group)
        failed = len(failed_of(group))
        self.is_failing = failed == len(group)
        if failed:
            self.failures += failed
            self._generation += 1
        for batch in group:
            try:
                batch.done(batch.error)
            except Exception:
                log.exception("work after a commit failed")

    # From here on: the thread.

    def _run(self) -> None:
        ending = False
        while not ending:
            given = self._queue.get()
            pending: list[list[Batch]] = []
            while True:
                if given is None:
                    ending = True
                else:
                    pending.append(given)
                if self._queue.empty():
                    break
                given = self._queue.get()
            batches = chain.from_iterable(pending)
            while group := list(islice(batches, MAX_GROUP)):
                rows = self.transactions.write(group)
                self._loop.call_soon_threadsafe(self._tell, group, rows)
                self._tidy()
        self._loop.call_soon_threadsafe(self._stopped.set_result, None)

    def _tidy(self) -> None:
        try:
            self.transactions.tidy()
        except Exception:
            log.exception("work between two groups failed because of a bug", extra={"sample": "writer"})
