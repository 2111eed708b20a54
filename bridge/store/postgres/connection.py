"""A connection to PostgreSQL that carries out the store's statements, and is made anew when it broke."""

import select
import threading
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg

from bridge.delivery.rows import Insert, Run
from bridge.errors import ConfigurationError, StoreUnavailable
from bridge.store.outbox import EventRow
from bridge.store.postgres.dialect import translated
from bridge.store.postgres.values import adapt
from bridge.store.sql.changes import check
from bridge.store.sql.connection import Cursor
from bridge.store.sql.statements import change_sql

OPTIONS: dict[str, Any] = {
    "connect_timeout": 5,  # seconds for each address
    "target_session_attrs": "read-write",  # after a fail-over, the one that takes commits
    "keepalives_idle": 5,  # seconds until a silent peer is asked
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # milliseconds
    "application_name": "lwm2m-bridge",
}
SESSION = (
    "SET idle_in_transaction_session_timeout = '30s'; SET statement_timeout = '60s'; SET lock_timeout = '10s';"
    " SET client_min_messages = warning"
)
READ_ONLY = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_NEW_EVENT = change_sql(Insert, EventRow)


class PostgresConnection:
    """`bridge.store.sql.connection.Connection`. Used by one thread at a time.

    The connection is made with its first statement, and again with the first one after it broke; whoever is within a
    transaction then gets psycopg.Error, since nothing of the transaction is left. With `by_itself` false only `connect`
    connects.

    A session that the server ended while nothing was under way is found before a statement is sent into it. A statement
    that was sent and not answered is repeated over a new session only where that changes nothing: a BEGIN, and whatever
    a session that only reads was asked.
    """

    def __init__(self, where: str, session: str = "", *, by_itself: bool = True) -> None:
        """`where`: a connection string or URI of libpq; `session`: what is set at the beginning of each session."""
        self._where = where
        self._by_itself = by_itself
        self._only_reads = session == READ_ONLY
        self._poll = select.poll()  # of the session's socket
        self._session = f"{SESSION}; {session}" if session else SESSION
        self._raw: psycopg.Connection | None = None
        self._changed = 0
        self._changed_in_all = 0
        self._within = False  # a transaction
        self.warned = threading.Event()  # since it was last cleared, the server sent a warning

    @property
    def is_open(self) -> bool:
        """Return whether there is a session, as far as is known."""
        return self._raw is not None and not self._raw.closed

    @property
    def backend(self) -> int:
        """Return the process of the server that serves this session."""
        return self.raw().info.backend_pid

    def raw(self) -> psycopg.Connection:
        """Return psycopg's own connection; if it is broken, a new one. Raises psycopg.Error."""
        if self._raw is None or self._raw.closed:
            if not self._by_itself:
                raise psycopg.OperationalError("the connection is lost")
            return self.connect()
        return self._raw

    def connect(self) -> psycopg.Connection:
        """Open a session if there is none; return psycopg's own connection. Raises psycopg.Error."""
        if self._raw is None or self._raw.closed:
            if self._within:  # on a new connection, the rest of it would be committed by itself
                raise psycopg.OperationalError("the connection is lost, and the transaction with it")
            made = psycopg.connect(self._where, autocommit=True, prepare_threshold=2, **OPTIONS)
            adapt(made)
            made.add_notice_handler(lambda _diagnostic: self.warned.set())
            made.execute(self._session.encode())
            self._raw = made
            self._poll = select.poll()
            self._poll.register(made.fileno(), select.POLLIN)
        return self._raw

    def close_if_ended(self) -> None:
        """Close the session if the server has ended it since the last statement, such as by a restart."""
        if self._raw is None or self._raw.closed or self._within:
            return
        try:
            while self._poll.poll(0):  # an idle session has nothing to say, but for its end and a notice
                self._raw.pgconn.consume_input()
        except psycopg.Error:
            self.close()

    def execute(self, statement: str, values: Any = (), /) -> Cursor:
        if statement in ("COMMIT", "ROLLBACK"):
            self._within = self.is_open and self._within
            if not self._within:
                raise psycopg.OperationalError("there is no transaction any more")
            self._within = False
        self.close_if_ended()
        try:
            cursor = self._ask(statement, values)
        except psycopg.OperationalError:
            again = statement == "BEGIN" or (self._only_reads and not self._within)
            if self.is_open or not self._by_itself or not again:
                raise
            cursor = self._ask(statement, values)
        self._within = self._within or statement == "BEGIN"
        self._changed = cursor.rowcount
        self._changed_in_all += max(cursor.rowcount, 0)
        return cursor

    def _ask(self, statement: str, values: Any) -> psycopg.Cursor:
        prepare = None if values else False  # words such as COMMIT are as quick without
        return self.raw().execute(translated(statement), values or None, prepare=prepare)

    def executemany(self, statement: str, values: Iterable[Any], /) -> None:
        cursor = self.raw().cursor()
        given = list(values)
        if statement == _NEW_EVENT:
            given = self._numbered(given)
        cursor.executemany(translated(statement), given)
        self._changed_in_all += max(cursor.rowcount, 0)

    def changes(self) -> int:
        return self._changed

    def total_changes(self) -> int:
        return self._changed_in_all

    def change(self, given: Iterable[Run]) -> None:
        """Apply runs of changes in order, sent together. Raises LookupError if a row to update is not there."""
        raw = self.raw()
        sent = []
        with raw.pipeline():
            for form, run in given:
                cursor = raw.cursor()
                statement = change_sql(*form)
                cursor.executemany(translated(statement), self._numbered(run) if statement == _NEW_EVENT else run)
                sent.append((form, run, cursor))
        for form, run, cursor in sent:
            check(form, run, cursor.rowcount)

    def _numbered(self, events: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Return new events as their statement wants them, with the sequence raised by their number.

        The sequence's row stays locked until the transaction ends, so ids rise in the order of commits.
        """
        number = len(events)
        self.raw().execute("UPDATE id_sequence SET seq = seq + %s WHERE name = 'event'", (number,))
        return [(number - index, *event[1:]) for index, event in enumerate(events, 1)]

    def roll_back(self) -> None:
        """Undo the transaction; where that cannot be said to the server, end the session."""
        try:
            self.execute("ROLLBACK")
        except psycopg.Error:
            self.close()  # the server rolls back by itself

    def close(self) -> None:
        self._within = False
        if self._raw is not None:
            self._raw.close()


def one_line(error: psycopg.Error) -> str:
    """Return the text of an error of the database in one line, for messages to people."""
    return " ".join(str(error).split())


def unreachable(where: str, error: psycopg.Error) -> Exception:
    """Return what to raise when a database cannot be opened, with the cure."""
    text = one_line(error)
    if isinstance(error, psycopg.ProgrammingError):
        return ConfigurationError(f"[service] database: {text}")
    host = psycopg.conninfo.conninfo_to_dict(where).get("host", "the local socket")
    return StoreUnavailable(
        f"the database on {host} cannot be used: {text}; make sure that it runs, and that this user may connect"
    )
