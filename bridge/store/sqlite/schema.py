"""The database's schema: numbered migrations that are applied once and never edited."""

import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import apsw

from bridge.errors import ConfigurationError, StoreUnavailable
from bridge.store.sqlite.migration_functions import FUNCTIONS

APPLICATION_ID = 0x4C324E49  # "L2NI" in the file header: `file` and we know whose database it is


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration of the schema. Each database stores the `digest`, so that an edited migration is noticed."""

    version: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


@cache
def migrations() -> tuple[Migration, ...]:
    """Return all migrations of this release, in order."""
    found = [
        Migration(int(match[1]), match[2], entry.read_text("utf-8"))
        for entry in sorted((files("bridge.store.sqlite") / "migrations").iterdir(), key=lambda e: e.name)
        if (match := re.fullmatch(r"(\d{4})_(\w+)\.sql", entry.name))
    ]
    if [m.version for m in found] != list(range(1, len(found) + 1)):
        raise AssertionError("migrations are not numbered 1, 2, 3, …")
    return tuple(found)


def schema_version(connection: apsw.Connection) -> int:
    """Return the database's version, 0 for an empty one. Raises ConfigurationError if it belongs to another program."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return 0
    if connection.pragma("application_id") != APPLICATION_ID or "schema_version" not in tables:
        raise ConfigurationError("the file is a database of some other program; set [service] database to another file")
    return int(connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").get)


def check_version(connection: apsw.Connection, known: Sequence[Migration]) -> int:
    """Return the database's version. Raises ConfigurationError if it is newer than `known`, or of another build."""
    version = schema_version(connection)
    if version > len(known):
        raise ConfigurationError(
            f"the database has schema version {version}, this release knows {len(known)}: "
            "run the newer release, or restore the copy made before the upgrade"
        )
    if version:
        for number, digest in connection.execute("SELECT version, digest FROM schema_version ORDER BY version"):
            if known[number - 1].digest != digest:
                raise ConfigurationError(
                    f"schema version {number} of the database was made by another build of that version: "
                    "run the build that made it, or export the directory and start a new database"
                )
    return version


def check_readable(connection: apsw.Connection, known: Sequence[Migration]) -> None:
    """Raise ConfigurationError unless the database has exactly the version that this release reads."""
    version = check_version(connection, known)
    if version < len(known):
        raise ConfigurationError(
            f"the database has schema version {version}, this release reads {len(known)}: start the service once"
        )


def migrate(connection: apsw.Connection, known: Sequence[Migration] | None = None) -> int:
    """Migrate the database to the newest version, each migration in its own transaction; return that version.

    Raises ConfigurationError (another program's database, or a newer one) or StoreUnavailable (a migration failed).
    """
    known = migrations() if known is None else known
    version = check_version(connection, known)
    try:
        if version == 0:
            connection.execute(
                f"BEGIN; PRAGMA application_id = {APPLICATION_ID};"
                "CREATE TABLE IF NOT EXISTS schema_version ("
                "version INTEGER PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL,"
                "applied_at REAL NOT NULL) STRICT; COMMIT"
            )
        for name, function in FUNCTIONS.items():
            connection.create_scalar_function(name, function, deterministic=True)
        for step in known[version:]:
            connection.execute(
                f"BEGIN IMMEDIATE;\n{step.sql}\n"
                f"INSERT INTO schema_version VALUES ({step.version}, '{step.name}', '{step.digest}', {time.time()});"
                "COMMIT"
            )
    except apsw.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise StoreUnavailable(f"cannot migrate the database from schema version {version}: {error}") from error
    return len(known)
