"""SQLite connections of the store, and the check that a database is not damaged."""

import contextlib
import os
from pathlib import Path

import apsw

from bridge.errors import ConfigurationError, StoreUnavailable
from bridge.store.sqlite.owner import cure, hand_over
from bridge.store.sqlite.schema import check_readable, migrations
from bridge.store.sqlite.volume import WalLimits, measure

BUSY_TIMEOUT = 5000  # milliseconds to wait for a lock that another tool (sqlite3, a backup) may hold
STATEMENTS = 256  # prepared statements that are kept for each connection
CHECK_LIMIT = 128 << 20  # bytes up to which a start checks everything; beyond that, only the small tables
SMALL_TABLES = ("schema_version", "id_mark", "relay", "endpoint", "north_source")


def connect_writer(path: Path) -> apsw.Connection:
    """Open the one connection that writes: WAL, and every commit on the disk before it returns (synchronous=FULL)."""
    limits = WalLimits.of(measure(path.absolute().parent))
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640))  # payloads are private
        hand_over(path)  # SQLite gives the WAL, which it creates, the same owner
        connection = apsw.Connection(str(path), statementcachesize=STATEMENTS)
    except (OSError, apsw.Error) as error:
        raise StoreUnavailable(f"cannot open {path}: {error}; {cure(path)}") from error
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT)
        mode = connection.execute("PRAGMA journal_mode = WAL").get
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA wal_autocheckpoint = {limits.pages}")  # for migrations; after that a `Wal` does it
        connection.execute(f"PRAGMA journal_size_limit = {limits.kept}")
    except apsw.Error as error:
        connection.close()
        raise _opening(path, error) from error
    if mode != "wal":
        connection.close()
        raise StoreUnavailable(f"{path} is on a file system without shared memory (journal mode {mode}): move it")
    return connection


def connect_reader(path: Path) -> apsw.Connection:
    """Open a connection that can only read, beside a running service or without one.

    Raises ConfigurationError (no database, or one of another release) or StoreUnavailable.
    """
    try:
        if not path.exists():
            raise ConfigurationError(f"there is no database {path}: has the service ever run here?")
    except PermissionError as error:
        raise StoreUnavailable(f"cannot read {path}: {error.strerror}; {cure(path)}") from error
    wal = path.with_name(path.name + "-wal")
    # Without a WAL nobody writes. "immutable" then reads even if the directory does not allow a -shm file.
    for mode in ("mode=ro", "mode=ro&immutable=1"):
        if mode != "mode=ro" and wal.exists() and wal.stat().st_size:
            break
        try:
            connection = apsw.Connection(
                f"{path.absolute().as_uri()}?{mode}",
                flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
                statementcachesize=STATEMENTS,
            )
        except apsw.Error as error:
            raise _opening(path, error) from error
        try:
            connection.set_busy_timeout(BUSY_TIMEOUT)
            check_readable(connection, migrations())
        except (apsw.CorruptError, apsw.NotADBError) as error:
            connection.close()
            raise _opening(path, error) from error
        except apsw.Error:
            connection.close()
        except ConfigurationError:
            connection.close()
            raise
        else:
            return connection
    raise StoreUnavailable(f"cannot read {path}; {cure(path)}")


def check(connection: apsw.Connection, path: Path) -> None:
    """Search for damage: everything in a small database, the small tables in a large one (a full check takes minutes).

    Raises StoreUnavailable with the cure.
    """
    try:
        if path.stat().st_size <= CHECK_LIMIT:
            asked = ["PRAGMA quick_check(1)"]
        else:
            there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            asked = [f"PRAGMA quick_check('{name}')" for name in SMALL_TABLES if name in there]
        for pragma in asked:
            verdict = connection.execute(pragma).get
            if verdict != "ok":
                raise _damaged(path, " ".join(verdict.split()))
    except apsw.Error as error:
        raise _opening(path, error) from error


def end(connection: apsw.Connection, *, whole: bool) -> None:
    """Close a writing connection; its WAL is checkpointed into the database if that is possible.

    Unless the files are `whole`, they are not touched: a WAL must not be copied into another database.
    """
    if not whole:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.close()
        return
    with contextlib.suppress(
        apsw.Error
    ):  # a reader may use the WAL, or the disk be full: the WAL stays, and the next start reads it
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with contextlib.suppress(apsw.Error):
        connection.close()


def _opening(path: Path, error: apsw.Error) -> ConfigurationError | StoreUnavailable:
    if isinstance(error, apsw.NotADBError):
        return ConfigurationError(f"{path} is not a database; set [service] database to another file")
    if isinstance(error, apsw.CorruptError):
        return _damaged(path, str(error))
    return StoreUnavailable(f"cannot open {path}: {error}")


def _damaged(path: Path, what: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"{path} is damaged ({what}): keep a copy, then restore a backup, "
        "or save what can be read with `sqlite3 FILE .recover`"
    )
