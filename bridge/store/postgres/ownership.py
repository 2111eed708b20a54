"""Which process may commit: one at a time, and one that lost its place cannot go on.

A lock of the session keeps a second process out while the first one is there. A session may end without its process
noticing, and then another may take the lock. So every transaction also asks for its own name in the row `id_mark`,
which whoever takes the place writes there: a transaction of the former owner then fails, however late it comes.
"""

import contextlib
import logging
import secrets
import time
from collections.abc import Callable

import psycopg

from bridge.errors import LedgerInUse, StoreUnavailable
from bridge.store.postgres.connection import PostgresConnection

WAIT = 3.0  # seconds: a server may need a moment to see that the session of a process that was killed is over
PAUSE = 0.1  # seconds between two attempts
KEY = 0x4C324E49 << 32  # "L2NI": the key of the lock, to which the schema's own number is added

LOCK_OF_SCHEMA = (
    "SELECT pg_try_advisory_lock{}(? + CAST(CAST(CAST(current_schema() AS regnamespace) AS oid) AS bigint))"
)

log = logging.getLogger(__name__)


class Ownership:
    """The place of the process that commits over `connection`."""

    LOCK = LOCK_OF_SCHEMA.format("")
    OTHER = "the database is in use by another bridge: stop that one, or give this one another database or schema"

    def __init__(self, connection: PostgresConnection) -> None:
        self._connection = connection
        self._name = secrets.token_hex(8)
        self._number = 0  # of the last transaction
        self._backend = 0  # the server's process for our session
        self._holder = 0  # the server's process for the session that has the lock
        self.when_lost: Callable[[], None] = lambda: None  # is called when another process is found to have the place

    @property
    def holds(self) -> bool:
        """Return whether the session that is open now has the lock, as far as is known. If not, `renew` comes first."""
        return self._connection.is_open and self._connection.backend == self._holder

    def lock(self, wait: float = WAIT) -> None:
        """Keep other processes out.

        Raises LedgerInUse if another process is still there after `wait` seconds, psycopg.Error.
        """
        until = time.monotonic() + wait
        while not self._locked():
            if time.monotonic() > until:
                raise LedgerInUse(self.OTHER)
            time.sleep(PAUSE)

    def release(self) -> None:
        """Let another process have the place at once, and know that this one acts no more."""
        if self.holds:
            with contextlib.suppress(psycopg.Error):  # then the server releases it with the session
                self._give_up_place()
                self._connection.execute("SELECT pg_advisory_unlock_all()")

    def take_place(self) -> bool:
        """Take the place, once it is locked and has its tables; return whether a former owner may still act.

        A former owner may act unless it has released the place: its session can be over while its process goes on.
        Raises LedgerInUse, psycopg.Error.
        """
        former = self._connection.execute("SELECT owner FROM id_mark").fetchone()
        self._connection.execute("UPDATE id_mark SET owner = ?, committed = 0", (self._name,))
        self._connection.execute("DELETE FROM node")  # a node of a former cluster commits nothing more
        self._connection.execute("UPDATE shard SET holder = '' WHERE holder <> ''")
        self._backend = self._connection.backend
        return former is not None and former[0] != ""

    def note_transaction(self) -> int:
        """Store and return the running transaction's number. Raises StoreUnavailable if another has the place."""
        self._number += 1
        self._connection.execute("UPDATE id_mark SET committed = ? WHERE owner = ?", (self._number, self._name))
        if not self._connection.changes():
            raise self._lost()
        return self._number

    def renew(self) -> int:
        """Connect again if need be, with no earlier transaction under way; return the number of the last one committed.

        Raises StoreUnavailable if another process has the place, psycopg.Error if that cannot be found out now.
        """
        connection = self._connection
        connection.connect()
        backend = connection.backend
        if backend != self._backend:
            # The server may not know yet that our earlier session is over, and may still be busy with its COMMIT.
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ? AND usename = current_user"
                " AND application_name = 'lwm2m-bridge'",
                (self._backend,),
            )
            self._backend = backend
        # Durable, as all is that was committed before it: on the standbys too, if there are synchronous ones.
        connection.warned.clear()
        committed = self._confirmed()
        if committed is None:
            raise self._lost()
        if connection.warned.is_set():
            raise psycopg.OperationalError("no standby has confirmed it")
        if not self._locked():
            raise psycopg.OperationalError("the earlier session is not over yet")
        return committed

    def _confirmed(self) -> int | None:
        """Change the row of the place, and return the number in it; None if another process has the place."""
        found = self._connection.execute(
            "UPDATE id_mark SET owner = owner WHERE owner = ? RETURNING committed", (self._name,)
        ).fetchone()
        return None if found is None else int(found[0])

    def _give_up_place(self) -> None:
        self._connection.execute("UPDATE id_mark SET owner = '' WHERE owner = ?", (self._name,))

    def _locked(self) -> bool:
        found = self._connection.execute(self.LOCK, (KEY,)).fetchone()
        if found is None or not found[0]:
            return False
        self._holder = self._connection.backend
        return True

    def _lost(self) -> StoreUnavailable:
        log.error(
            "another bridge uses the database: nothing is acknowledged here any more; stop one of the two",
            extra={"sample": "lost"},
        )
        self.when_lost()
        return StoreUnavailable("another bridge uses the database: this one must be stopped")
