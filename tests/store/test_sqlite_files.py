"""Somebody removes, replaces or empties the ledger's files under the service: then nothing more is acknowledged."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.delivery.rows import Insert
from bridge.directory import Draft
from bridge.errors import StoreUnavailable
from bridge.store.sqlite import SqliteStore


def remove(path):
    path.unlink()


def replace(path):
    copy = path.with_name("copy")
    shutil.copy(path, copy)
    copy.replace(path)


def move_away(path):
    path.rename(path.with_name("elsewhere"))


def open_file(path):
    """Return the name of a file that this process has open, although it was removed."""
    for one in Path("/proc/self/fd").iterdir():
        if one.is_symlink() and str(one.readlink()) == f"{path} (deleted)":
            return one
    raise AssertionError(f"{path} is not open")


def truncate(path):
    os.truncate(path, 0)


def fill_with_zeros(path):
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.write(bytes(size))


FAULTS = [
    ("bridge.db", remove, "was removed"),
    ("bridge.db", move_away, "was removed"),
    ("bridge.db", replace, "was replaced by another file"),
    ("bridge.db", truncate, "was overwritten"),
    ("bridge.db", fill_with_zeros, "was overwritten"),
    ("bridge.db-wal", remove, "was removed"),
    ("bridge.db-wal", replace, "was replaced by another file"),
    ("bridge.db-wal", truncate, "was emptied or overwritten"),
    ("bridge.db-wal", fill_with_zeros, "was emptied or overwritten"),
    ("bridge.db-shm", remove, "was removed"),
    ("bridge.db.lock", remove, "was removed"),
    ("bridge.db.lock", replace, "was replaced by another file"),
]


@pytest.mark.parametrize(("name", "fault", "what"), FAULTS)
async def test_no_commit_succeeds_once_a_file_is_not_the_one_that_was_opened(path, downlink, name, fault, what):
    store = SqliteStore.open(path)
    await store.committed([Insert.of(downlink(store.next_id()))])
    fault(path.with_name(name))

    for endpoint in (1, 2):
        with pytest.raises(StoreUnavailable, match=rf"{name} {what} under the service: .*docs/operations.md"):
            await store.committed([Insert.of(downlink(store.next_id(), endpoint))], endpoint=endpoint)
    with pytest.raises(StoreUnavailable, match=what):
        await store.committed([])  # what is acknowledged in its turn is acknowledged no more, either
    with pytest.raises(StoreUnavailable, match=what):
        await store.directory.add([Draft("net", "device", "name", ("leshan",))], None, lambda: 1.0)

    assert store.status()["files_lost"] >= 4
    await store.close()


async def test_a_file_that_took_the_place_of_the_ledger_is_not_written_to(path, downlink):
    store = SqliteStore.open(path)
    await store.committed([Insert.of(downlink(store.next_id()))])
    path.unlink()
    path.write_bytes(b"somebody else's")
    with pytest.raises(StoreUnavailable):
        await store.committed([Insert.of(downlink(store.next_id()))])
    await store.close()
    assert path.read_bytes() == b"somebody else's"


async def test_an_older_copy_written_over_the_ledger_is_noticed(path, downlink):
    """The file stays the same one, and is a sound database: only the number in its header tells."""
    store = SqliteStore.open(path)
    await store.committed([Insert.of(downlink(store.next_id()))])
    older = path.read_bytes()
    store._transactions._wal.empty()  # as it is when it is long
    await store.committed([Insert.of(downlink(store.next_id()))])
    path.write_bytes(older)
    with pytest.raises(StoreUnavailable, match=r"bridge.db was overwritten"):
        await store.committed([Insert.of(downlink(store.next_id()))])
    await store.close()
    assert path.read_bytes() == older, "the WAL of another database is not mixed into it"


EMPTYING = """
import sqlite3, sys
print(sqlite3.connect(sys.argv[1]).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
"""


def empty_wal(path):
    """Empty the WAL into the database from another process, as a person's own tool does."""
    assert subprocess.check_output([sys.executable, "-c", EMPTYING, str(path)], timeout=60) == b"0\n"


async def test_a_persons_own_tool_may_empty_the_wal_as_sqlite_does(path, downlink):
    store = SqliteStore.open(path)
    for _ in range(3):
        await store.committed([Insert.of(downlink(store.next_id()))])
        empty_wal(path)
    await store.committed([Insert.of(downlink(store.next_id()))])
    assert len(await store.reads.downlinks()) == 4
    assert store.status()["files_lost"] == 0
    await store.close()


async def test_a_file_that_is_put_back_is_taken_again(path, downlink):
    store = SqliteStore.open(path)
    await store.committed([Insert.of(downlink(store.next_id(), 1))])
    away = path.with_name("elsewhere")
    path.rename(away)
    with pytest.raises(StoreUnavailable):
        await store.committed([Insert.of(downlink(store.next_id(), 1))])
    away.rename(path)
    await store.committed([Insert.of(downlink(store.next_id(), 1))])
    await store.close()

    again = SqliteStore.open(path)
    assert len(await again.reads.downlinks()) == 2
    await again.close()


async def test_a_removed_ledger_can_be_had_from_the_process_that_still_runs(path, downlink, tmp_path):
    """As docs/operations.md has it: the files of a running process are under /proc/PID/fd."""
    store = SqliteStore.open(path)
    for _ in range(5):
        await store.committed([Insert.of(downlink(store.next_id()))])
    path.unlink()
    path.with_name("bridge.db-wal").unlink()
    with pytest.raises(StoreUnavailable):
        await store.committed([Insert.of(downlink(store.next_id()))])

    saved = tmp_path / "saved"
    saved.mkdir()
    for name in ("bridge.db", "bridge.db-wal"):
        shutil.copy(open_file(path.with_name(name)), saved / name)

    await store.close()
    again = SqliteStore.open(saved / "bridge.db")
    assert len(await again.reads.downlinks()) == 5
    await again.close()
