"""The database's schema: numbered migrations that are applied once and never edited."""

import time
from collections.abc import Sequence
from functools import cache
from typing import Any

import apsw

from bridge.errors import ConfigurationError, StoreUnavailable
from bridge.store.sql.migrations import Migration, check_applied, read_migrations
from bridge.store.sqlite.migration_functions import FUNCTIONS

APPLICATION_ID = 0x4C324E49  # "L2NI" in the file header: identifies databases of the bridge
_FIRST = (
    f"PRAGMA application_id = {APPLICATION_ID};"
    "CREATE TABLE IF NOT EXISTS schema_version ("
    "version INTEGER PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL,"
    "applied_at REAL NOT NULL) STRICT;"
)


@cache
def migrations() -> tuple[Migration, ...]:
    """Return all migrations of this release, in order."""
    return read_migrations("bridge.store.sqlite")


def schema_version(connection: apsw.Connection) -> int:
    """Return the database's version, 0 for an empty one. Raises ConfigurationError if it belongs to another program."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return 0
    if connection.pragma("application_id") != APPLICATION_ID or "schema_version" not in tables:
        raise ConfigurationError("the file is a database of some other program; set [service] database to another file")
    return int(connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").get)


def check_version(connection: apsw.Connection, known: Sequence[Migration]) -> int:
    """Return the database's version. Raises ConfigurationError if it is newer than `known`, or if the two differ."""
    if not schema_version(connection):
        return 0
    applied: list[Any] = connection.execute("SELECT version, digest FROM schema_version ORDER BY version").fetchall()
    return check_applied(applied, known)


def check_readable(connection: apsw.Connection, known: Sequence[Migration]) -> None:
    """Raise ConfigurationError unless the database has exactly the version that this release reads."""
    version = check_version(connection, known)
    if version < len(known):
        raise ConfigurationError(
            f"the database has schema version {version}, this release reads {len(known)}: start the service once"
        )


def migrate(connection: apsw.Connection, known: Sequence[Migration] | None = None) -> int:
    """Migrate the database to the newest version, each migration in its own transaction; return that version.

    An empty database gets all migrations in one transaction: it is made with one sync of the disk, or stays empty.
    Raises ConfigurationError (another program's database, or a newer one) or StoreUnavailable (a migration failed).
    """
    known = migrations() if known is None else known
    version = check_version(connection, known)
    try:
        for name, function in FUNCTIONS.items():
            connection.create_scalar_function(name, function, deterministic=True)
        steps = [
            f"{step.sql}\n"
            f"INSERT INTO schema_version VALUES ({step.version}, '{step.name}', '{step.digest}', {time.time()});"
            for step in known[version:]
        ]
        if version == 0:
            steps = ["\n".join([_FIRST, *steps])]
        for step in steps:
            connection.execute(f"BEGIN IMMEDIATE;\n{step}\nCOMMIT")
    except apsw.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise StoreUnavailable(f"cannot migrate the database from schema version {version}: {error}") from error
    return len(known)
