"""Copies of a ledger, taken while the service runs, and a ledger made from such a copy.

A copy lacks everything that happened after it was taken. So a restored ledger skips all ids that may
have been used since, ends the messages that the device may or may not have, and makes every device
register anew, which renews registrations and observations on all sides.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import apsw

from bridge.delivery.states import DownlinkState
from bridge.errors import ConfigurationError, StoreUnavailable
from bridge.store.sql.statements import LIVE
from bridge.store.sqlite.connection import connect_reader
from bridge.store.sqlite.lock import ProcessLock
from bridge.store.sqlite.owner import cure, hand_over
from bridge.store.sqlite.schema import migrate, schema_version

IDS_PER_SECOND = 10_000  # more than a bridge uses: ids that a lost ledger may have used are skipped
IDS_SKIPPED = 1_000_000  # at least
STEPS = 5_000  # instructions of SQLite's virtual machine between two reports of progress
WHY = "the ledger was restored from a copy: what became of it since then is unknown"

Progress = Callable[[int, int], None]
"""Called with the bytes written so far, and the total as far as it is known."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of a ledger. `taken_at` is in wall-clock seconds."""

    path: Path
    bytes: int
    taken_at: float


@dataclass(frozen=True, slots=True)
class Restored:
    """A ledger made from a copy. `replaced`: the new path of the former ledger, if there was one."""

    copy: Copy
    endpoints: int
    messages_ended: int
    replaced: Path | None


def back_up(database: Path, to: Path, progress: Progress = lambda _done, _all: None) -> Copy:
    """Write a consistent, checked copy of a ledger, readable for this user alone; the service may run.

    Raises ConfigurationError or StoreUnavailable with the cure; no incomplete copy is left then.
    """
    if to.exists():
        raise ConfigurationError(f"{to} is there already; name another file, or remove it")
    taken_at = time.time()
    with contextlib.closing(connect_reader(database)) as source, _part(to) as part:
        _vacuum_into(source, database, part, progress)
        with _opened(part) as copy:
            copy.execute("CREATE TABLE copied (taken_at REAL NOT NULL) STRICT")
            copy.execute("INSERT INTO copied VALUES (?)", (taken_at,))
            _check(copy, part)
        size = part.stat().st_size
        _make_durable(part, to)
    return Copy(to, size, taken_at)


def restore(
    copy: Path, database: Path, *, replace: bool = False, progress: Progress = lambda _done, _all: None
) -> Restored:
    """Make a ledger from a copy. Refused if there is a ledger, unless `replace` keeps it under another name.

    Raises ConfigurationError (a service uses the ledger, the copy is not of a bridge, or of a newer release) or
    StoreUnavailable (the copy is damaged, no room); then the ledger is unchanged.
    """
    lock = ProcessLock(database)
    try:
        if database.exists() and not replace:
            raise ConfigurationError(f"there is a ledger {database} already; --replace keeps it under another name")
        with _part(database) as part:
            with contextlib.closing(_open_copy(copy)) as source:
                _vacuum_into(source, copy, part, progress)
            with _opened(part) as fresh:
                _check(fresh, copy)
                migrate(fresh)
                taken_at, endpoints, ended = _carry_on(fresh)
            hand_over(part)
            replaced = _put_aside(database)
            _make_durable(part, database)
        return Restored(Copy(copy, database.stat().st_size, taken_at), endpoints, ended, replaced)
    finally:
        lock.release()


@contextlib.contextmanager
def _part(target: Path) -> Iterator[Path]:
    """Create an empty file beside the target, for this user alone; it is removed unless it becomes the target."""
    part = target.with_name(f"{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreUnavailable(f"cannot write {part}: {error.strerror}; {cure(part)}") from error
    try:
        yield part
    finally:
        for file in (part, part.with_name(f"{part.name}-journal")):
            file.unlink(missing_ok=True)


def _vacuum_into(source: apsw.Connection, name: Path, part: Path, progress: Progress) -> None:
    """Copy a database as of one moment; commits continue meanwhile."""
    whole = source.pragma("page_count") * source.pragma("page_size")

    def step() -> bool:
        progress(min(part.stat().st_size, whole), whole)
        return False  # do not interrupt

    source.set_progress_handler(step, STEPS)
    try:
        source.execute("VACUUM INTO ?", (str(part),))
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise StoreUnavailable(f"{name} is damaged ({error}): use another copy") from error
    except apsw.Error as error:
        raise StoreUnavailable(f"cannot write {part}: {error}; is there room for {whole} bytes?") from error
    finally:
        source.set_progress_handler(None)
    progress(whole, whole)


@contextlib.contextmanager
def _opened(part: Path) -> Iterator[apsw.Connection]:
    try:
        with contextlib.closing(apsw.Connection(str(part))) as connection:
            yield connection
    except apsw.Error as error:
        raise StoreUnavailable(f"cannot write {part}: {error}; is there room?") from error


def _check(connection: apsw.Connection, name: Path) -> None:
    verdict = connection.execute("PRAGMA integrity_check(1)").get
    if verdict != "ok":
        raise StoreUnavailable(f"{name} is damaged ({' '.join(verdict.split())}): use another copy")


def _open_copy(copy: Path) -> apsw.Connection:
    """Open a copy of any release for reading. Raises ConfigurationError or StoreUnavailable."""
    if not copy.is_file():
        raise ConfigurationError(f"there is no file {copy}")
    try:
        connection = apsw.Connection(
            f"{copy.absolute().as_uri()}?mode=ro", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        )
        if schema_version(connection) == 0:
            raise ConfigurationError(f"{copy} is empty")
    except apsw.NotADBError as error:
        raise ConfigurationError(f"{copy} is not a copy of a ledger") from error
    except apsw.Error as error:
        raise StoreUnavailable(f"cannot read {copy}: {error}") from error
    return connection


def _carry_on(fresh: apsw.Connection) -> tuple[float, int, int]:
    """Prepare a copy for a service; return when it was taken, its endpoints, and the messages that were ended."""
    now = time.time()
    marked = fresh.execute("SELECT count(*) FROM sqlite_master WHERE name = 'copied'").get
    taken_at = float(fresh.execute("SELECT taken_at FROM copied").get if marked else 0)
    since = max(now - taken_at, 0.0) if marked else 10 * 365 * 86400.0  # a file from elsewhere may be of any age
    fresh.execute("BEGIN")
    fresh.execute("UPDATE id_mark SET next = next + ?", (max(IDS_SKIPPED, int(since * IDS_PER_SECOND)),))
    fresh.execute(
        "UPDATE downlink SET state = ?, over = 1, due = NULL, finished_at = ?, keep_until = ?, reason = ?"  # noqa: S608  # our own condition
        f" WHERE {LIVE} AND over = 0",
        (DownlinkState.UNKNOWN, now, now, WHY),
    )
    ended = fresh.changes()
    fresh.execute("UPDATE relay SET refuse_update = 1, north_mid = NULL")  # message IDs begin anywhere
    fresh.execute("DROP TABLE IF EXISTS copied")
    fresh.execute("COMMIT")
    return taken_at, int(fresh.execute("SELECT count(*) FROM endpoint").get), ended


def _put_aside(database: Path) -> Path | None:
    """Rename a ledger and what belongs to it."""
    if not database.exists():
        return None
    with contextlib.suppress(apsw.Error), contextlib.closing(apsw.Connection(str(database))) as old:
        old.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # all of it in one file, if it can still be read
    aside = database.with_name(f"{database.name}.replaced-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    wal, shared = (database.with_name(database.name + suffix) for suffix in ("-wal", "-shm"))
    if wal.exists():
        wal.rename(aside.with_name(aside.name + "-wal"))
    shared.unlink(missing_ok=True)
    database.rename(aside)
    return aside


def _make_durable(part: Path, target: Path) -> None:
    """Rename a written file to its target, so that it is complete after a power failure."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.rename(target)
    directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
