"""A ledger in an SQLite file, moved into a PostgreSQL database: copied in parts, compared as a whole, never half used.

What was copied stays when the move breaks off, and the next attempt goes on from there. Until every row is compared,
the bridge does not open the database; when it is done, the file gets another name, so that nobody uses it by mistake.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import apsw
import psycopg

from bridge.errors import ConfigurationError, StoreUnavailable
from bridge.store.postgres.connection import PostgresConnection, unreachable
from bridge.store.postgres.ownership import Ownership
from bridge.store.postgres.schema import check_server, migrate
from bridge.store.sql.connection import Connection, latest_id, note_id, value_of
from bridge.store.sqlite.connection import check, connect_reader, connect_writer
from bridge.store.sqlite.lock import ProcessLock
from bridge.store.sqlite.schema import migrate as migrate_file

PART = 20_000  # messages in one transaction
LONG = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0"

TABLES = {
    "endpoint": ("id",),
    "north_source": ("scheme", "source"),
    "note": ("network", "key"),
    "relay": ("endpoint",),
    "observation": ("endpoint", "south_token"),
    "report": ("id",),
    "provisioning": ("endpoint",),
    "activity": ("endpoint",),
    "usage": ("endpoint", "day", "network", "group"),
    "api_key": ("id",),
    "webhook": ("id",),
    "dead_letter": ("webhook", "event"),
    "direct": ("id",),
    "audit": ("id",),
    "event": ("id",),
    "uplink": ("id",),
    "downlink": ("id",),
}
"""The tables and their keys. Those with very many rows come in parts; the others whole."""

IN_PARTS = ("audit", "event", "uplink", "downlink")

MARKS = ("id_mark", "activity_mark", "sqlite_sequence", "schema_version")
"""Tables of the file that are no rows to copy: numbers that are set when all rows are there, and what a file is."""

Progress = Callable[[int, int], None]
"""Takes rows copied or compared so far, and rows in all: each counts twice."""


@dataclass(frozen=True, slots=True)
class MovedLedger:
    """A move that is done. `rows` were copied and compared; the file is now called `kept`."""

    rows: int
    endpoints: int
    kept: Path


def move(file: Path, where: str, progress: Progress = lambda _done, _all: None) -> MovedLedger:
    """Move a ledger into a database in which there is none; go on with a move that broke off.

    Raises ConfigurationError (a service uses either, or another ledger is in the database) or StoreUnavailable.
    """
    if not file.exists():
        raise ConfigurationError(f"there is no ledger {file} to move")
    lock = ProcessLock(file)
    try:
        rows, endpoints = _moved(file, where, progress)
        kept = file.with_name(f"{file.name}.moved-{int(time.time())}")
        for suffix in ("-wal", "-shm", ""):  # the WAL is empty by now; without its database it must not stay
            with suppress(FileNotFoundError):
                Path(f"{file}{suffix}").rename(f"{kept}{suffix}")
    finally:
        lock.release()
    return MovedLedger(rows, endpoints, kept)


def _moved(file: Path, where: str, progress: Progress) -> tuple[int, int]:
    with closing(connect_writer(file)) as writing:
        check(writing, file)
        migrate_file(writing)
    with closing(connect_reader(file)) as source, closing(PostgresConnection(where, LONG)) as target:
        try:
            check_server(target)
            Ownership(target).lock()
            migrate(target)
            _begin(target, file)
            rows = _Copy(source, target, progress).whole()
            target.execute("UPDATE moving SET done = 1")
            return rows, value_of(target, "SELECT count(*) FROM endpoint")
        except psycopg.Error as error:
            raise unreachable(where, error) from error


def _begin(target: PostgresConnection, file: Path) -> None:
    name = str(file.absolute())
    found = target.execute("SELECT source, done FROM moving").fetchone()
    if found == (name, 0):
        return
    if found == (name, 1):
        raise ConfigurationError(f"the ledger {name} was moved into the database: name that in [service] database")
    if found is not None and not found[1]:
        raise ConfigurationError(f"the database holds a part of the ledger {found[0]}: move that one, or drop it")
    # A bridge that has used the database has given out ids.
    if value_of(target, "SELECT next FROM id_mark") != 1 or any(_count(target, table) for table in TABLES):
        raise ConfigurationError("there is a ledger in the database already: name an empty database or schema")
    target.execute("INSERT INTO moving VALUES (1, ?, 0)", (name,))


class _Copy:
    def __init__(self, source: apsw.Connection, target: PostgresConnection, progress: Progress) -> None:
        self._source = source
        self._target = target
        self._progress = progress
        self._rows = {table: _count(source, table) for table in TABLES}
        self._done = 0

    def whole(self) -> int:
        """Copy what is not there yet, then compare everything; return the number of rows."""
        for table, key in TABLES.items():
            self._done += _count(self._target, table)
            if table in IN_PARTS:
                while self._copy(table, key, after=value_of(self._target, f"SELECT coalesce(max(id), 0) FROM {table}")):  # noqa: S608  # names of our own
                    pass
            elif not _count(self._target, table):
                self._copy(table, key)
        self._target.execute("UPDATE id_mark SET next = ?", (value_of(self._source, "SELECT next FROM id_mark"),))
        ((uplink, downlink),) = self._source.execute("SELECT uplink, downlink FROM activity_mark")
        self._target.execute("UPDATE activity_mark SET uplink = ?, downlink = ?", (uplink, downlink))
        for (table,) in self._target.execute("SELECT name FROM sqlite_sequence").fetchall():
            note_id(self._target, table, latest_id(self._source, table))
        for table, key in TABLES.items():
            self._compare(table, key)
        return sum(self._rows.values())

    def _copy(self, table: str, key: tuple[str, ...], after: int | None = None) -> int:
        """Copy a table, or its next part after an id, in one transaction; return the number of rows."""
        columns = self._columns(table)
        part, values = ("", ()) if after is None else (" WHERE id > ?", (after,))
        limit = "" if after is None else f" LIMIT {PART}"
        question = f"SELECT {columns} FROM {table}{part} ORDER BY {_quoted(key)}{limit}"  # noqa: S608  # as above
        copied = 0
        raw = self._target.raw()
        with raw.transaction(), raw.cursor().copy(f"COPY {table} ({columns}) FROM STDIN".encode()) as copy:
            for row in self._source.execute(question, values):
                copy.write_row([_plain(value) for value in row])
                copied += 1
        self._advance(copied)
        return copied

    def _compare(self, table: str, key: tuple[str, ...]) -> None:
        """Raise StoreUnavailable unless both have the same rows."""
        columns = self._columns(table)
        theirs = self._ordered(table, columns, key)
        mine = self._source.execute(f"SELECT {columns} FROM {table} ORDER BY {_quoted(key)}")  # noqa: S608  # as above
        for number, (one, other) in enumerate(zip_longest(mine, theirs), 1):
            if one is None or other is None or tuple(map(_plain, one)) != other:
                raise StoreUnavailable(
                    f"row {number} of {table} is not the same in the database as in the file: drop the schema, make it "
                    "anew, and move the ledger again"
                )
            if number % PART == 0:
                self._advance(PART)
        self._advance(self._rows[table] % PART)

    def _ordered(self, table: str, columns: str, key: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of the target by rising key, as SQLite orders them: text by its bytes."""
        texts = {"scheme", "network", "key", "group"}
        order = ", ".join(f'"{name}" COLLATE "C"' if name in texts else name for name in key)
        raw = self._target.raw()
        with raw.transaction(), raw.cursor("compare") as cursor:
            cursor.itersize = 2000
            yield from cursor.execute(f"SELECT {columns} FROM {table} ORDER BY {order}".encode())  # noqa: S608  # as above

    def _columns(self, table: str) -> str:
        names = self._source.execute("SELECT name FROM pragma_table_info(?) ORDER BY cid", (table,))
        return _quoted(name for (name,) in names)

    def _advance(self, rows: int) -> None:
        self._done += rows
        self._progress(self._done, 2 * sum(self._rows.values()))


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _count(connection: Connection, table: str) -> int:
    return int(value_of(connection, f"SELECT count(*) FROM {table}"))  # noqa: S608  # names of our own


def _plain(value: Any) -> Any:
    """Return a value as PostgreSQL can keep it: its text has no NUL (`bridge/store/postgres/values.py`)."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) and "\0" in value else value
