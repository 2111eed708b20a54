"""The inbox for the bridge that serves the ledger: its rows, and who tells of new ones (LISTEN)."""

import asyncio
import contextlib
from collections.abc import Collection

import psycopg

from bridge.store.inbox import InboxRow, WhenTold
from bridge.store.postgres.connection import PostgresConnection
from bridge.store.postgres.ingress import CHANNEL
from bridge.store.sql.connection import Row, value_of
from bridge.store.sql.reader import SqlReader
from bridge.store.sql.reads import SqlReads
from bridge.store.sql.statements import columns_sql, decoder

_NOW = "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"
_ROWS = f"SELECT {columns_sql(InboxRow)}, {_NOW} FROM inbox WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608  # names of our own
_OF_SHARDS = _ROWS.replace("ORDER", "AND shard = ANY(?) ORDER")


class PostgresInbox:
    """`bridge.store.inbox.Inbox`. The inbox listens from the first call of `told` on."""

    def __init__(self, where: str, reads: SqlReads) -> None:
        self._loop = asyncio.get_running_loop()
        self._reads = reads
        self._listening = PostgresConnection(where, by_itself=False)
        self._told = asyncio.Event()
        self._offset = 0.0  # seconds by which the database's clock is ahead of the event loop's, or a little more
        self._socket = -1  # that the event loop watches
        self._connecting: asyncio.Task[None] | None = None
        self.when_told: WhenTold = lambda _shards: True

    async def rows(self, limit: int, after: int = 0, shards: Collection[int] | None = None) -> list[InboxRow]:
        decode = decoder(InboxRow)
        asked = (_ROWS, (after, limit)) if shards is None else (_OF_SHARDS, (after, [*shards], limit))

        def read(reader: SqlReader) -> tuple[float, list[Row]]:
            return self._loop.time(), [*reader.connection.execute(*asked)]

        asked_at, found = await self._reads.ask(read)
        if found:
            self._offset = found[0][-1] - asked_at
        return [decode(row[:-1]) for row in found]

    def age(self, row: InboxRow) -> float:
        return max(self._loop.time() + self._offset - row.at, 0.0)

    async def told(self, timeout: float) -> None:  # noqa: ASYNC109  # see the contract
        if self._socket < 0 and (self._connecting is None or self._connecting.done()):
            self._connecting = asyncio.create_task(self._listen())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._told.wait(), timeout)
        self._told.clear()

    async def close(self) -> None:
        """Listen no more."""
        if self._connecting is not None:
            await self._connecting
        self._end()

    def _end(self) -> None:
        if self._socket >= 0:
            self._loop.remove_reader(self._socket)
            self._socket = -1
        self._listening.close()

    async def _listen(self) -> None:
        """Begin to listen. If that fails, it is tried again with the next call; until then rows are found by asking."""
        with contextlib.suppress(psycopg.Error):
            await asyncio.to_thread(self._connect)
            self._socket = self._listening.raw().fileno()
            self._loop.add_reader(self._socket, self._arrived)
            self._told.set()  # rows may have come since they were read

    def _connect(self) -> None:
        connection = self._listening
        connection.connect()
        channel = value_of(connection, f"SELECT {CHANNEL}")  # our own
        connection.execute(f'LISTEN "{channel}"')

    def _arrived(self) -> None:
        raw = self._listening.raw().pgconn
        try:
            raw.consume_input()
            while (notice := raw.notifies()) is not None:
                if self.when_told(_shards(notice.extra)):
                    self._told.set()
        except psycopg.Error:  # the connection broke
            self._end()
            self._told.set()


def _shards(told: bytes) -> frozenset[int]:
    """Return the shards that a notice names; none if it is of an older release."""
    return frozenset(int(shard) for shard in told.decode().split(",") if shard)
