"""What only SQLite has: a schema, files that a crash leaves behind, and a reader without the service."""

import shutil
import sqlite3
from contextlib import closing

import pytest

from bridge.delivery.downlinks import Answer, OpaqueDownlink, ServerRequest
from bridge.delivery.reports import UnattributedReport
from bridge.delivery.rows import Delete, Insert
from bridge.delivery.uplinks import DeviceRequest, Notification, OpaqueUplink, Response, Verdict
from bridge.directory import Draft
from bridge.relay.model import Observation, RelayState
from bridge.store.sqlite import Reader, SqliteStore

DOWNLINKS = ServerRequest, Answer, OpaqueDownlink
UPLINKS = DeviceRequest, Notification, Response, Verdict, OpaqueUplink


@pytest.mark.parametrize(
    "rows", [DOWNLINKS, UPLINKS, (UnattributedReport,), (Observation,), (RelayState,)], ids=lambda rows: rows[0].TABLE
)
async def test_the_schema_has_exactly_the_fields_of_the_rows(sqlite, rows):
    sql = f"SELECT name FROM pragma_table_info('{rows[0].TABLE}')"
    found = await sqlite.run(lambda connection: connection.execute(sql).fetchall())
    assert {name for (name,) in found} == {name for row in rows for name in row.columns()}
    assert all("shard" in row.columns() for row in rows)


async def test_the_ledger_can_be_read_when_the_service_is_down(sqlite, path, downlink):
    await sqlite.committed([Insert.of(downlink(sqlite.next_id()))])
    await sqlite.close()

    reader = Reader.open(path)

    assert [row.id for row in reader.downlinks()] == [1]
    reader.close()


async def test_ids_are_not_given_again_after_a_crash_either(sqlite, path, report, tmp_path):
    """The files as a power cut would leave them: the row that had the largest id is gone, its id is not free."""
    last = report(sqlite.next_id())
    await sqlite.committed([Insert.of(last)])
    await sqlite.committed([Delete.of(last)])
    (tmp_path / "after").mkdir()
    for file in (path, path.with_name("bridge.db-wal")):
        shutil.copy(file, tmp_path / "after" / file.name)

    again = SqliteStore.open(tmp_path / "after" / "bridge.db")

    assert again.next_id() > last.id
    await again.close()


async def test_ids_of_rows_count_even_if_the_mark_was_lost(path, downlink):
    sqlite = SqliteStore.open(path)
    await sqlite.committed([Insert.of(downlink(500))])
    await sqlite.close()
    assert sqlite.backlog == 0
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE id_mark SET next = 1")

    again = SqliteStore.open(path)

    assert again.next_id() == 501
    await again.close()


async def test_a_removed_endpoint_leaves_nothing_but_history(sqlite, report):
    state = [Observation(1, b"1", 0, "leshan", b"", 1.0), report(sqlite.next_id()), RelayState(1, 0)]
    await sqlite.committed([Insert.of(row) for row in state])
    await sqlite.directory.remove(1, lambda: 100.0)
    for row in state:
        sql = f"SELECT count(*) FROM {row.TABLE}"
        assert await sqlite.run(lambda connection, sql=sql: connection.execute(sql).get) == 0


async def test_a_note_carries_the_shard_of_its_devices_endpoint(sqlite):
    memory = sqlite.memories.of("net")
    await memory.put("d/3", b"", "device-3")
    await memory.put("d/new", b"", "device-10")
    await memory.put("secret", b"")
    new = [Draft("net", "device-10", "new", ("leshan",))]
    await sqlite.directory.add(new, None, lambda: 100.0)
    shards = await sqlite.run(lambda connection: dict(connection.execute("SELECT key, shard FROM note").fetchall()))
    assert shards == {"d/3": 2, "d/new": 9, "secret": 0}
