"""The stores that keep the contract (`bridge/store/contract.py`), each with what a test of the contract needs of it.

Another store is held to the contract by a class here, in `KINDS`.
"""

import asyncio
import atexit
import threading
from functools import cache
from importlib.util import find_spec

import apsw

from bridge.store.in_memory import Disk, Faults, InMemoryStore
from bridge.store.sql import loads
from bridge.store.sqlite import SqliteStore
from bridge.store.sqlite.connection import connect_writer
from tests.conftest import need, need_program


class SqliteStores:
    """SQLite, in a file of its own."""

    def __init__(self, folder):
        self.path = folder / "bridge.db"
        self.commits_fail = False
        self._gates = []

    async def open(self):
        """Open the store: the first time an empty one, later the one that is there."""
        return SqliteStore.open(self.path, self._connect)

    def _connect(self, path):
        kind = self

        class Failing(apsw.Connection):
            def execute(self, sql, *rest):
                if sql == "COMMIT" and kind.commits_fail:
                    raise apsw.FullError("database or disk is full")
                return super().execute(sql, *rest)

        connect_writer(path).close()
        connection = Failing(str(path))
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def fail_commits(self, _store, fail):
        """Let the disk refuse every group from now on, or no more."""
        self.commits_fail = fail

    def fail_reads(self, store, fail):
        """Let every read fail from now on, or none any more."""
        store.loads._connection.set_progress_handler((lambda: True) if fail else None, 1)

    def hold_reads(self, _store):
        """Return a gate that keeps the next reads from ending."""
        gate = _Gate(loads.read)
        loads.read = gate
        self._gates.append(gate)
        return gate

    def reads(self, store):
        """Return how many reads there were."""
        return store.loads.reads

    def end(self):
        for gate in self._gates:
            gate.open()


class _Gate:
    """Holds every read after it has read, until it is opened."""

    def __init__(self, read):
        self._read = read
        self._open = threading.Event()
        self._reached = threading.Event()

    def __call__(self, *arguments):
        answer = self._read(*arguments)
        self._reached.set()
        assert self._open.wait(10)
        return answer

    async def reading(self):
        """Return when a read has begun."""
        await asyncio.to_thread(self._reached.wait, 10)

    def open(self):
        """Let reads end."""
        loads.read = self._read
        self._open.set()


class PostgresStores:
    """PostgreSQL, in a schema of its own on a server that all tests of this process share."""

    def __init__(self, _folder):
        self.where = postgres_server().schema()
        self._gates = []

    async def open(self):
        from bridge.store.postgres import PostgresStore

        return PostgresStore.open(self.where)

    def fail_commits(self, store, fail):
        """Let the server have no room for any commit from now on, or have it again."""
        import psycopg

        execute = type(store._writing).execute

        def failing(statement, values=(), /):
            if statement == "BEGIN":
                raise psycopg.errors.DiskFull("could not extend file: No space left on device: the disk is full")
            return execute(store._writing, statement, values)

        store._writing.execute = failing if fail else execute.__get__(store._writing)

    def fail_reads(self, store, fail):
        """Let every read fail from now on, or none any more."""
        import psycopg

        execute = type(store._loading).execute

        def failing(_statement, _values=(), /):
            raise psycopg.OperationalError("the connection is lost")

        store._loading.execute = failing if fail else execute.__get__(store._loading)

    hold_reads = SqliteStores.hold_reads
    reads = SqliteStores.reads
    end = SqliteStores.end


def postgres_server():
    """Return the server that all tests of this process share; without one the test is skipped."""
    need_program("pg_ctlcluster")
    need(find_spec("psycopg"), "psycopg (extra postgresql)")
    return _server()


@cache
def _server():
    from tests.store.postgres_server import PostgresServer

    server = PostgresServer()
    atexit.register(server.stop)
    return server


class InMemoryStores:
    """The store in memory, over one disk."""

    def __init__(self, _folder):
        self._disk = Disk()

    async def open(self):
        return InMemoryStore(self._disk, Faults())

    def fail_commits(self, store, fail):
        store.faults.commits_fail = fail

    def fail_reads(self, store, fail):
        store.faults.reads_fail = fail

    def hold_reads(self, store):
        store.faults.reads_wait = True
        return _InMemoryGate(store)

    def reads(self, store):
        return store.loads

    def end(self):
        pass


class _InMemoryGate:
    def __init__(self, store):
        self._store = store

    async def reading(self):
        await asyncio.sleep(0)

    def open(self):
        self._store.faults.go()


KINDS = {"sqlite": SqliteStores, "postgres": PostgresStores, "in memory": InMemoryStores}
