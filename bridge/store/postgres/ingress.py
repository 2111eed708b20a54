"""The inbox as a bridge uses it that receives posts, whether it serves the ledger or not. Nothing else is written."""

import asyncio
import contextlib
import time
from functools import partial

import psycopg

from bindings.contract import Post
from bridge.delivery.rows import Insert
from bridge.errors import BridgeError, StoreUnavailable
from bridge.store import inbox
from bridge.store.done import future_and_done
from bridge.store.inbox import NO_SHARD, InboxRow
from bridge.store.postgres.connection import READ_ONLY, PostgresConnection, one_line
from bridge.store.sql.batches import Batch
from bridge.store.sql.connection import value_of
from bridge.store.sql.transactions import Transactions
from bridge.store.sql.writer import Writer

CHANNEL = "'lwm2m_inbox_' || CAST(CAST(CAST(current_schema() AS regnamespace) AS oid) AS TEXT)"
"""SQL for the name of the channel on which bridges are told of new posts, by their shards: "3,7"."""

_DURABLE = (
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')"
)
_AT = "extract(epoch FROM clock_timestamp()) - ?"  # the value: for how many seconds it has been waiting here
_INSERT = f"INSERT INTO inbox (network, at, door, query, body) VALUES (?, {_AT}, ?, ?, ?)"  # noqa: S608  # our own
_INSERT_FOR_NODE = f"INSERT INTO inbox (network, at, door, query, body, shard) VALUES (?, {_AT}, ?, ?, ?, ?)"  # noqa: S608  # likewise
_COUNT = "SELECT count(*) FROM (SELECT 1 FROM inbox LIMIT ?) AS waiting"


class _IngressTransactions(Transactions):
    """Commits groups of posts. No lock and no name is asked for: a row more does no harm to the one that serves."""

    def __init__(self, connection: PostgresConnection) -> None:
        super().__init__()
        self._connection = connection

    def transact(self, batches: list[Batch]) -> None:
        connection = self._connection
        now = time.monotonic()
        posts = [
            (network, now - received, *more)
            for batch in batches
            for change in batch.changes
            for _, network, received, *more in (change.values,)
        ]
        try:
            connection.execute("BEGIN")
            if value_of(connection, _COUNT, (inbox.MOST,)) + len(posts) > inbox.MOST:
                raise StoreUnavailable("the inbox is full: no bridge has taken posts out of it for a while")
            if all(post[-1] == NO_SHARD for post in posts):  # a bridge of an older release may serve, on its tables
                connection.executemany(_INSERT, [post[:-1] for post in posts])
            else:
                connection.executemany(_INSERT_FOR_NODE, posts)
            connection.warned.clear()
            connection.execute("COMMIT")
            if connection.warned.is_set():
                raise psycopg.OperationalError("no standby has confirmed it")
        except psycopg.Error as error:  # after a lost answer to COMMIT the network sends again, and may be heard twice
            connection.roll_back()
            raise StoreUnavailable(f"the inbox cannot be written: {one_line(error)}") from error
        except BridgeError:
            connection.roll_back()
            raise
        self._tell({post[-1] for post in posts})

    def _tell(self, shards: set[int]) -> None:
        """Tell those who serve of new posts, once for each group, outside its transaction and before the answer."""
        told = ",".join(map(str, sorted(shards)))
        with contextlib.suppress(psycopg.Error):  # then they find them when they ask by themselves
            self._connection.execute(f"SELECT pg_notify({CHANNEL}, ?)", (told,))


class PostgresIngress:
    """`bridge.store.inbox.Ingress`. A connection is made with the first post, and again after a connection broke."""

    def __init__(self, where: str) -> None:
        """`where`: a connection string or URI of libpq. Make it in a running event loop."""
        self._loop = asyncio.get_running_loop()
        self._where = where
        self._writing = PostgresConnection(where, _DURABLE)
        self._writer = Writer(_IngressTransactions(self._writing), self._loop, lambda _group: None)
        self._writer.start()
        self._closed = False

    def keep(self, network: str, post: Post, shard: int = NO_SHARD) -> asyncio.Future[None]:
        future, done = future_and_done(self._loop)
        if self._closed:
            future.set_exception(StoreUnavailable("the inbox is closed"))
            return future
        received = time.monotonic()  # in place of the ledger's clock, which the database knows
        row = InboxRow(0, network, received, post.sub_path, post.query, post.body, shard)
        self._writer.give(Batch((Insert.of(row),), None, done, None))
        return future

    async def note(self, network: str, key: str) -> bytes | None:
        try:
            return await asyncio.to_thread(partial(_note, self._where, network, key))
        except psycopg.Error as error:
            raise StoreUnavailable(f"the database cannot be read: {one_line(error)}") from error

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await self._writer.stop()
            self._writing.close()


def _note(where: str, network: str, key: str) -> bytes | None:
    connection = PostgresConnection(where, READ_ONLY)
    with contextlib.closing(connection):
        found = connection.execute("SELECT value FROM note WHERE network = ? AND key = ?", (network, key)).fetchone()
    return None if found is None else bytes(found[0])
