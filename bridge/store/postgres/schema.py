"""The database's schema, and what the server must be for commits to mean what they say."""

import logging
import time
from functools import cache

from bridge.errors import ConfigurationError
from bridge.store.postgres.connection import PostgresConnection
from bridge.store.sql.connection import value_of
from bridge.store.sql.migrations import Migration, check_applied, read_migrations

OLDEST_WITH_STANDBY = 14  # has idle_session_timeout
OLDEST = 13  # the oldest release of PostgreSQL that is maintained
DURABLE = ("on", "remote_apply")  # of `synchronous_commit`: flushed here, and on the synchronous standbys

log = logging.getLogger(__name__)


@cache
def migrations() -> tuple[Migration, ...]:
    """Return all migrations of this release, in order."""
    return read_migrations("bridge.store.postgres")


def check_server(connection: PostgresConnection, oldest: int = OLDEST) -> None:
    """Check that a commit is durable, and warn where it is less so. Raises ConfigurationError, psycopg.Error."""
    version = int(value_of(connection, "SHOW server_version_num")) // 10_000
    if version < oldest:
        raise ConfigurationError(f"the database is PostgreSQL {version}; at least {oldest} is needed")
    encoding = value_of(connection, "SHOW server_encoding")
    if encoding != "UTF8":
        raise ConfigurationError(f"the database's encoding is {encoding}: make one with ENCODING 'UTF8'")
    if value_of(connection, "SELECT current_schema()") is None:
        raise ConfigurationError("the database has no schema where this user looks for tables (search_path): make one")
    if value_of(connection, "SHOW fsync") != "on":
        text = "the database server has fsync = off: a crash of its machine loses what was acknowledged"
        log.warning(text, extra={"sample": "fsync"})
    if not value_of(connection, "SHOW synchronous_standby_names"):
        log.warning(
            "the database has no synchronous standby (synchronous_standby_names): a fail-over may lose what was"
            " acknowledged last",
            extra={"sample": "no synchronous standby"},  # a bridge that stands by asks twice a second
        )


def session(connection: PostgresConnection) -> str:
    """Return what every session that commits sets, so that no commit is told before it is durable."""
    return "" if value_of(connection, "SHOW synchronous_commit") in DURABLE else "SET synchronous_commit = on"


def session_of_lease(span: float, hung: float | None = None) -> str:
    """Return what a session sets so that the server ends it, and its lock, `span` seconds after its last statement.

    The same holds for a session whose machine is gone, and which sends nothing more in the middle of a transaction.
    `hung`: of a node; seconds after which a transaction that is silent is ended, and a wait for another one given up.
    """
    milliseconds = round(span * 1000)
    silent = milliseconds if hung is None else round(hung * 1000)
    waits = "" if hung is None else f" SET lock_timeout = {silent};"
    return (
        f"SET idle_session_timeout = {milliseconds}; SET idle_in_transaction_session_timeout = {silent};{waits}"
        f" SET tcp_user_timeout = {milliseconds}"
    )


def check_readable(connection: PostgresConnection) -> bool:
    """Return whether the store's tables are there.

    Raises ConfigurationError if they are not those of this release, psycopg.Error.
    """
    if value_of(connection, "SELECT to_regclass('schema_version')") is None:
        return False
    known = migrations()
    version = check_applied(_applied(connection), known)
    if version < len(known):
        raise ConfigurationError(
            f"the database has schema version {version}, this release reads {len(known)}: start the service once"
        )
    return True


def _applied(connection: PostgresConnection) -> list[tuple[int, str]]:
    found = connection.execute("SELECT version, digest FROM schema_version ORDER BY version").fetchall()
    return [(number, digest) for number, digest in found]


def check_whole(connection: PostgresConnection) -> None:
    """Raise ConfigurationError if a ledger is being moved in here and is not whole yet, psycopg.Error."""
    if value_of(connection, "SELECT count(*) FROM moving WHERE done = 0"):
        raise ConfigurationError(
            "the ledger that is being moved into the database is not whole yet: run lwm2m-bridge store migrate again"
        )


def pending(connection: PostgresConnection) -> tuple[Migration, ...]:
    """Return the steps that the database does not have yet, in order; all of them are for a new one: then none is.

    Raises ConfigurationError (a newer version, or one of another build), psycopg.Error.
    """
    if value_of(connection, "SELECT to_regclass('schema_version')") is None:
        return ()
    known = migrations()
    return known[check_applied(_applied(connection), known) :]


def migrate(connection: PostgresConnection) -> int:
    """Bring the schema to the newest version, each step in a transaction of its own; return that version.

    Raises ConfigurationError (a newer version, or one of another build) or psycopg.Error.
    """
    known = migrations()
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, name TEXT NOT NULL,"
        " digest TEXT NOT NULL, applied_at DOUBLE PRECISION NOT NULL)"
    )
    for step in known[check_applied(_applied(connection), known) :]:
        with connection.raw().transaction():
            connection.raw().execute(step.sql.encode())
            connection.execute(
                "INSERT INTO schema_version VALUES (?, ?, ?, ?)", (step.version, step.name, step.digest, time.time())
            )
    return len(known)
