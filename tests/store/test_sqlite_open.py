"""Opening a database: the lock, the schema's versions, damage, and files that are none of ours."""

import hashlib
import os
import sqlite3
import subprocess
import sys

import pytest

from bridge.delivery.rows import Insert, Update
from bridge.directory import Draft
from bridge.errors import ConfigurationError, StoreUnavailable
from bridge.store.sqlite import Reader, SqliteStore
from bridge.store.sqlite.connection import connect_writer
from bridge.store.sqlite.schema import Migration, migrate, migrations, schema_version
from tests.store.asking import rows

OPENING = """
import asyncio, sys
from pathlib import Path
from bridge.store.sqlite import SqliteStore
async def main(): SqliteStore.open(Path(sys.argv[1]))
asyncio.run(main())
"""


def open_elsewhere(path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", OPENING, str(path)]
    return subprocess.run(command, capture_output=True, check=False, timeout=60, env=environment)


async def test_a_second_process_is_kept_out_with_the_cure(sqlite, path):
    second = open_elsewhere(path)
    assert second.returncode == 1
    assert f"is in use by process {os.getpid()}: stop that one" in second.stderr.decode()
    assert "another state_directory" in second.stderr.decode()


async def test_the_lock_ends_with_the_store(path):
    first = SqliteStore.open(path)
    with pytest.raises(ConfigurationError, match="in use"):
        SqliteStore.open(path)
    await first.close()
    second = SqliteStore.open(path)
    await second.close()


async def test_a_failed_open_leaves_the_lock_free(path):
    path.write_bytes(b"this is no database, but long enough to look at" * 100)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="not a database"):
            SqliteStore.open(path)


async def test_another_programs_database_is_left_alone(path):
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE t (a)")
    other.close()
    with pytest.raises(ConfigurationError, match="some other program"):
        SqliteStore.open(path)
    with pytest.raises(ConfigurationError, match="some other program"):
        Reader.open(path)


async def test_a_directory_that_is_not_there_is_a_clear_error(tmp_path):
    with pytest.raises(StoreUnavailable, match=r"cannot write .*make sure that .* exists"):
        SqliteStore.open(tmp_path / "absent" / "bridge.db")
    with pytest.raises(ConfigurationError, match="there is no database"):
        Reader.open(tmp_path / "absent.db")


async def test_a_newer_schema_than_this_release_knows_is_a_clear_error(path):
    store = SqliteStore.open(path)
    await store.run(lambda c: c.execute("INSERT INTO schema_version VALUES (999, 'future', '', 0)"))
    await store.close()
    for opener in (SqliteStore.open, Reader.open):
        with pytest.raises(
            ConfigurationError, match=rf"version 999, this release knows {len(migrations())}: run the newer"
        ):
            opener(path)


async def test_a_migration_that_was_edited_after_it_was_applied_is_noticed(path):
    store = SqliteStore.open(path)
    await store.run(lambda c: c.execute("UPDATE schema_version SET digest = 'other' WHERE version = 1"))
    await store.close()
    with pytest.raises(ConfigurationError, match="another build"):
        SqliteStore.open(path)


async def test_damage_is_found_at_start(path, downlink):
    store = SqliteStore.open(path)
    await store.committed([Insert.of(downlink(store.next_id(), body=b"x" * 3000)) for _ in range(100)])
    await store.close()
    content = bytearray(path.read_bytes())
    for page in range(30, 60):
        content[page * 4096 : page * 4096 + 100] = b"\xff" * 100
    path.write_bytes(content)
    with pytest.raises(StoreUnavailable, match=r"damaged .*restore a backup"):
        SqliteStore.open(path)


def content(connection):
    """Return everything that a database holds: its schema, and the rows of every table."""
    schema = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetchall()
    tables = [name for kind, name, _ in schema if kind == "table"]
    return schema, [connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in tables]


def test_migrations_build_an_empty_database_and_a_second_run_does_nothing(path):
    connection = connect_writer(path)
    assert schema_version(connection) == 0
    assert migrate(connection) == len(migrations())
    before = content(connection)
    assert migrate(connection) == len(migrations())
    assert content(connection) == before
    for (sql,) in connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"):
        assert "STRICT" in sql
    connection.close()


FIRST = "f81104da2a971a6543966df6227e42dc044e1268e69d2348ac64694d277aede5"
"""Digest of migration 0001 as it was released: databases remember it, and refuse another."""


def old_database(path):
    """Make a database as migration 0001 alone makes it, with a message of that time."""
    old = connect_writer(path)
    migrate(old, migrations()[:1])
    old.execute(
        "INSERT INTO downlink VALUES (1, 1, 0, 'request', 100.0, 'leshan', 7, x'0102', 1, 'Read', NULL, 1, 9, x'05',"
        " NULL, 0, x'4101000905b133', 'QUEUED', 0, 500.0, 200.0, NULL, 0, 0, NULL, 0, 0, 0, 'h', NULL, '', 0, NULL,"
        " 9e18, NULL)"
    )
    old.close()


def test_a_migration_that_databases_have_is_never_edited():
    assert migrations()[0].digest == FIRST


async def test_a_database_of_the_first_schema_is_brought_up_and_keeps_its_messages(path):
    old_database(path)

    store = SqliteStore.open(path)
    await store.directory.add([Draft("net", "device", "name", ("leshan",))], None, lambda: 1.0)

    (row,) = (await rows(store, 1, 0.0)).downlinks
    assert (row.id, row.code, row.south_mid, row.south_token, row.body) == (1, 1, 9, b"\x05", b"\xb13")
    assert (row.attempts, row.cancel_asked) == ([], False)
    versions = await store.run(lambda c: c.execute("SELECT version FROM schema_version ORDER BY version").fetchall())
    assert [version for (version,) in versions] == list(range(1, len(migrations()) + 1))
    row.cancel_asked = True
    await store.committed([Update.of(row)])
    assert [row.cancel_asked for row in (await rows(store, 1, 0.0)).downlinks] == [True]
    await store.close()


async def test_a_database_brought_up_is_as_one_made_new(path, tmp_path):
    old_database(path)
    schemas = []
    for file in (path, tmp_path / "new.db"):
        store = SqliteStore.open(file)
        schemas.append(await store.run(lambda connection: content(connection)[0]))
        await store.close()
    assert schemas[0] == schemas[1]


async def test_an_older_schema_is_not_read_before_it_is_brought_up(path):
    old_database(path)
    what = f"version 1, this release reads {len(migrations())}: start the service once"
    with pytest.raises(ConfigurationError, match=what):
        Reader.open(path)


def test_each_migration_is_applied_once_and_in_order(path):
    connection = connect_writer(path)
    more = (
        *migrations()[:1],
        Migration(2, "more", "ALTER TABLE downlink ADD COLUMN more TEXT NOT NULL DEFAULT 'm'; CREATE TABLE n (a);"),
    )
    assert migrate(connection, more[:1]) == 1
    assert migrate(connection, more) == 2
    assert migrate(connection, more) == 2
    assert [v for (v,) in connection.execute("SELECT version FROM schema_version ORDER BY version")] == [1, 2]
    connection.close()


def test_a_database_that_cannot_be_made_whole_stays_empty(path):
    """A start that is killed, or finds the disk full, in the middle leaves nothing that a later release must know."""
    connection = connect_writer(path)
    bad = Migration(len(migrations()) + 1, "bad", "INSERT INTO nowhere VALUES (1);")
    with pytest.raises(StoreUnavailable, match="nowhere"):
        migrate(connection, (*migrations(), bad))
    assert content(connection) == ([], [])
    assert connection.pragma("application_id") == 0
    assert migrate(connection) == len(migrations())
    connection.close()


def test_a_migration_that_fails_changes_nothing(path):
    connection = connect_writer(path)
    migrate(connection)
    before = content(connection)
    bad = Migration(len(migrations()) + 1, "bad", "CREATE TABLE half (a); INSERT INTO nowhere VALUES (1);")
    with pytest.raises(StoreUnavailable, match="nowhere"):
        migrate(connection, (*migrations(), bad))
    assert content(connection) == before
    connection.close()


def test_a_stop_between_two_steps_of_the_first_start_does_no_harm(path):
    connection = connect_writer(path)
    migrate(connection, ())
    assert migrate(connection) == len(migrations())
    connection.close()


def test_a_reader_needs_no_right_to_write(path, tmp_path):
    connection = connect_writer(path)
    migrate(connection)
    connection.close()
    digest = hashlib.sha256(path.read_bytes()).digest()
    tmp_path.chmod(0o555)
    try:
        reader = Reader.open(path)
        assert reader.downlinks() == []
        reader.close()
    finally:
        tmp_path.chmod(0o755)
    assert hashlib.sha256(path.read_bytes()).digest() == digest
