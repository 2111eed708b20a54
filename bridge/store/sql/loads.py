"""Reads endpoints for the core, in its own thread. Requests that come during a read are answered by the next one.

A result must contain every commit that was reported before the result is passed on. A read sees the database as of the
read's beginning, so the loads record the commits reported meanwhile, and read the affected endpoints again.
"""

import asyncio
import logging
import threading
from collections.abc import Hashable, Iterable
from queue import SimpleQueue

from bridge.errors import StoreUnavailable
from bridge.store.sealing import NO_BODIES
from bridge.store.sql.asked import Answer, ReadRequest, read
from bridge.store.sql.connection import Connection

log = logging.getLogger(__name__)

MAX_GROUP = 256  # endpoints in one read: bounds how long the first of them waits (about 25 ms)


class Loads:
    """Owns its connection from `start` to `stop`. Everything but the thread itself runs in the event loop."""

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop, error: type[Exception]) -> None:
        """`error` is what the connection raises when it cannot read."""
        self._error = error
        self.bodies = NO_BODIES
        self._connection = connection
        self._loop = loop
        self._queue: SimpleQueue[list[ReadRequest] | None] = SimpleQueue()
        self._asked: list[ReadRequest] = []
        self._begin_asked = False
        self.is_reading = False
        self._changed: set[Hashable] = set()  # commits reported since the current read began
        self._directory_changed = False  # changes of the directory reported since then
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="store-loads", daemon=True)
        self.reads = 0  # groups so far

    def start(self) -> None:
        self._thread.start()

    def ask(self, asked: ReadRequest) -> None:
        """Request a read; the result is passed on in the event loop."""
        self._asked.append(asked)
        if not self.is_reading and not self._begin_asked:
            self._begin_asked = True
            self._loop.call_soon(self._begin)

    def told(self, changed: Iterable[Hashable], *, directory: bool) -> None:
        """Record commits that are reported during a read: the changed keys, and whether the directory changed."""
        self._changed.update(changed)
        self._directory_changed |= directory

    def stop(self) -> None:
        """End the thread; waiting requests fail with StoreUnavailable."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        self._refuse()

    def _begin(self) -> None:
        self._begin_asked = False
        if self._closed:
            self._refuse()
            return
        if self.is_reading or not self._asked:
            return
        group, self._asked = self._asked[:MAX_GROUP], self._asked[MAX_GROUP:]
        self.is_reading = True
        self._changed.clear()
        self._directory_changed = False
        self._queue.put(group)

    def _refuse(self) -> None:
        asked, self._asked = self._asked, []
        for one in asked:
            one.refuse(StoreUnavailable("the store is closed"))

    def _finished(self, answers: list[tuple[list[ReadRequest], Answer | StoreUnavailable]]) -> None:
        self.is_reading = False
        self.reads += 1
        again: list[ReadRequest] = []
        for group, answer in answers:
            for one in group:
                if not isinstance(answer, StoreUnavailable) and self._is_old(one, answer):
                    again.append(one)
                else:
                    _tell(one, answer)
        self._asked[:0] = again
        if self._asked:
            self._begin()

    def _is_old(self, one: ReadRequest, answer: Answer) -> bool:
        if self._directory_changed:
            return True
        return bool(self._changed) and any(what in self._changed for what in one.concerns(answer))

    # From here on: the thread.

    def _run(self) -> None:
        while (group := self._queue.get()) is not None:
            self._loop.call_soon_threadsafe(self._finished, self._read(group))

    def _read(self, group: list[ReadRequest]) -> list[tuple[list[ReadRequest], Answer | StoreUnavailable]]:
        """Read a group. If an endpoint cannot be decoded, only that one fails: the others are read one by one."""
        try:
            return [(group, read(self._connection, group, self.bodies))]
        except self._error as error:
            return [(group, _unreadable(error))]
        except Exception as error:
            if len(group) > 1:
                return [one for asked in group for one in self._read([asked])]
            log.exception("stored data cannot be decoded")
            return [(group, _unreadable(error))]


def _tell(one: ReadRequest, answer: Answer | StoreUnavailable) -> None:
    try:
        if isinstance(answer, StoreUnavailable):
            one.refuse(answer)
        else:
            one.hand_over(answer)
    except Exception:
        log.exception("work after a read of the store failed")


def _unreadable(error: Exception) -> StoreUnavailable:
    unavailable = StoreUnavailable(f"the store cannot be read: {error}")
    unavailable.__cause__ = error
    return unavailable
