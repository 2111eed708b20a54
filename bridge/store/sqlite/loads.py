"""Reads endpoints for the core, in a thread of its own. What is asked for while one read is under way is one more read.

A result must contain what was told before it is handed over. A read sees the database as it was when the read began, so
the loads note what is told meanwhile, and read again what that concerns.
"""

import asyncio
import logging
import threading
from collections.abc import Iterable, Sequence
from queue import SimpleQueue

import apsw

from bridge.directory.contract import FoundRecord
from bridge.directory.keys import Key
from bridge.directory.record import Record
from bridge.errors import StoreUnavailable
from bridge.relay.model import Kept
from bridge.store.contract import Found, FoundEndpoint
from bridge.store.sqlite.directory import records_of
from bridge.store.sqlite.endpoint_rows import rows_of

log = logging.getLogger(__name__)

MAX_GROUP = 256  # endpoints in one read: bounds how long the first of them waits (about 25 ms)


class _Asked:
    """One wish. `now` is None where only the record is wanted."""

    __slots__ = ("_done", "_found", "key", "now")

    def __init__(self, key: Key, now: float | None, found: FoundRecord | None, done: FoundEndpoint | None) -> None:
        self.key = key
        self.now = now
        self._found = found
        self._done = done

    def tell(self, record: Record | None, kept: Kept | None, error: StoreUnavailable | None) -> None:
        try:
            if self._found is not None:
                self._found(record, error)
            elif self._done is not None:
                self._done(None if record is None or kept is None else Found(record, kept), error)
        except Exception:
            log.exception("what follows a load failed")


Answer = tuple[dict[Key, Record], dict[int, Kept]]


def read(connection: apsw.Connection, keys: Sequence[Key], wanted: Iterable[Key], now: float) -> Answer:
    """Return the records under `keys`, and under their ids the rows of those among `wanted`, as of one moment."""
    connection.execute("BEGIN")
    try:
        records = records_of(connection, keys)
        ids = {record.id for key in wanted if (record := records.get(key)) is not None}
        return records, rows_of(connection, ids, now) if ids else {}
    finally:
        connection.execute("COMMIT")


class Loads:
    """Owns its connection from `start` to `stop`. Everything but the thread itself runs in the event loop."""

    def __init__(self, connection: apsw.Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection
        self._loop = loop
        self._queue: SimpleQueue[list[_Asked] | None] = SimpleQueue()
        self._asked: list[_Asked] = []
        self._begin_asked = False
        self.is_reading = False
        self._changed: set[int] = set()  # endpoints whose commits were told since the read under way began
        self._directory_changed = False  # likewise
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="store-loads", daemon=True)
        self.reads = 0  # groups so far

    def start(self) -> None:
        self._thread.start()

    def load(self, key: Key, now: float, done: FoundEndpoint) -> None:
        """Call `done` with the endpoint under `key` and the rows that are needed at wall time `now`."""
        self._ask(_Asked(key, now, None, done))

    def find(self, key: Key, found: FoundRecord) -> None:
        """Call `found` with the record under `key`."""
        self._ask(_Asked(key, None, found, None))

    def told(self, endpoints: Iterable[int | None], *, directory: bool) -> None:
        """Note what is told while a read is under way: commits of these endpoints, changes of the directory."""
        self._changed.update(endpoint for endpoint in endpoints if endpoint is not None)
        self._directory_changed |= directory

    def stop(self) -> None:
        """End the thread; what still waits fails with StoreUnavailable."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        self._refuse()

    def _ask(self, asked: _Asked) -> None:
        self._asked.append(asked)
        if not self.is_reading and not self._begin_asked:
            self._begin_asked = True
            self._loop.call_soon(self._begin)

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
            one.tell(None, None, StoreUnavailable("the store is closed"))

    def _finished(self, answers: list[tuple[list[_Asked], Answer | StoreUnavailable]]) -> None:
        self.is_reading = False
        self.reads += 1
        again: list[_Asked] = []
        for group, answer in answers:
            if isinstance(answer, StoreUnavailable):
                for one in group:
                    one.tell(None, None, answer)
            elif self._directory_changed:
                again += group
            else:
                again += self._hand_over(group, *answer)
        self._asked[:0] = again
        if self._asked:
            self._begin()

    def _hand_over(self, group: list[_Asked], records: dict[Key, Record], kept: dict[int, Kept]) -> list[_Asked]:
        """Tell what was found; return what must be read again."""
        again = []
        for one in group:
            record = records.get(one.key)
            if record is None:
                one.tell(None, None, None)
            elif one.now is not None and record.id in self._changed:
                again.append(one)
            else:
                one.tell(record, kept.get(record.id), None)
        return again

    # From here on: the thread.

    def _run(self) -> None:
        while (group := self._queue.get()) is not None:
            self._loop.call_soon_threadsafe(self._finished, self._read(group))

    def _read(self, group: list[_Asked]) -> list[tuple[list[_Asked], Answer | StoreUnavailable]]:
        """Read a group. If something in it cannot be understood, only that fails: the others are read alone."""
        wanted = [one.key for one in group if one.now is not None]
        now = min((one.now for one in group if one.now is not None), default=0.0)
        try:
            return [(group, read(self._connection, [one.key for one in group], wanted, now))]
        except apsw.Error as error:
            return [(group, _unreadable(error))]
        except Exception as error:
            if len(group) > 1:
                return [one for asked in group for one in self._read([asked])]
            log.exception("what is stored under %r cannot be understood", group[0].key)
            return [(group, _unreadable(error))]


def _unreadable(error: Exception) -> StoreUnavailable:
    unavailable = StoreUnavailable(f"the store cannot be read: {error}")
    unavailable.__cause__ = error
    return unavailable
