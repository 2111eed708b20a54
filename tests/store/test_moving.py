"""A ledger moves from a file into PostgreSQL: all of it, once, and also when the move breaks off in between."""

from contextlib import closing

import pytest

from bindings.provisioning import ProvisioningState
from bridge.delivery.direct import DirectNote
from bridge.delivery.reports import UnattributedReport
from bridge.delivery.rows import Insert
from bridge.directory import Draft, Sources
from bridge.directory.keys import ById
from bridge.errors import ConfigurationError, StoreUnavailable
from bridge.north.udp.prefix import PrefixScheme
from bridge.north.udp.prefixes import pools
from bridge.quota.usage import Usage
from bridge.relay.model import Observation, RelayState
from bridge.relay.registrations import Registration
from bridge.store.access import ApiKey, AuditEntry, Role
from bridge.store.fleet import EndpointConditions, Provisioning, ProvisioningNote
from bridge.store.outbox import DeadLetter, EventRow, Webhook
from bridge.store.sqlite import SqliteStore
from bridge.store.sqlite.connection import connect_reader, connect_writer
from bridge.store.sqlite.schema import migrate
from tests.store.asking import load, rows
from tests.store.conftest import make_downlink, make_uplink
from tests.store.stores import postgres_server

pytest.importorskip("psycopg")

from bridge.store import moving  # needs psycopg
from bridge.store.postgres import PostgresStore  # likewise

SOURCES = Sources.of(PrefixScheme(pools(("127.64.0.0/10",)), 56830))


@pytest.fixture
def where():
    return postgres_server().schema()


@pytest.fixture
async def file(path):
    """A ledger with rows of every kind, of which an endpoint was removed."""
    store = SqliteStore.open(path)
    drafts = [Draft("net", f"device-{n}", f"endpoint-{n}", ("leshan",), options={"ü": n}) for n in range(1, 6)]
    await store.directory.add(drafts, SOURCES, lambda: 100.0)
    await store.directory.remove(5, lambda: 200.0)
    given = [make_downlink(store.next_id(), 1 + n % 4, body=bytes(range(256)), due=1 / 3) for n in range(50)]
    given += [make_uplink(store.next_id(), 1, duplicate_key=f"é\0{n}") for n in range(50)]
    given += [
        UnattributedReport(store.next_id(), 1, 0, "handle", "sent", "", 0.1, True, 1e9 + 1e-6),
        Observation(1, b"\x00\xff", 0, "leshan", b"", 1.0),
        Observation(1, b"\x00", 0, "leshan", b"", 1.0),
        RelayState(1, 0, [Registration("leshan", (b"rd", b"1"), (b"rd", b"1"), 1.0, 1 / 3, 300)], refuse_update=True),
        EventRow(None, 1, 100.0, "message.outcome", "endpoint-1", "{}"),
        EventRow(None, 1, 200.0, "message.outcome", "endpoint-1", "{}"),
        DirectNote(1, 1, 100.0, "a person (key 1)", "key", b"\x00digest", None),
        Usage(1, 20_000, "net", "", 0, down_messages=7),
        Usage(1, 20_000, "net", "plan", 0, up_bytes=2**40),
    ]
    await store.committed([Insert.of(row) for row in given])
    await store.outbox.forget_events(150.0)
    await store.fleet.note([ProvisioningNote("net", "device-1", Provisioning(ProvisioningState.READY, "", 100.0))])
    await store.fleet.fold()
    await store.access.add_key(ApiKey(0, "a person", Role.READ, b"\x00digest", 100.0))
    await store.access.note(AuditEntry(0, 100.0, "a person (key 1)", "endpoint.remove", "endpoint-5", "done"))
    hook = await store.outbox.add_webhook(Webhook(0, "https://one.example/", b"secret", (), "", 100.0, 0))
    await store.outbox.keep_webhook(hook, DeadLetter(hook.id, 2, 200.0, "410"))
    await store.memories.of("net").put("d/1", b"\x00note", "device-1")
    await store.memories.of("net").put("Z", b"", "")
    await store.close()
    return path


async def content(store):
    found = [(await load(store, ById(id_))).record for id_ in (1, 2, 3, 4)]
    kept = [await rows(store, id_) for id_ in (1, 2, 3, 4)]
    notes = (await load(store, ById(1))).notes
    await store.close()
    return found, [repr(one) for one in kept], notes


async def test_the_database_has_what_the_file_had_and_the_file_is_put_aside(file, where):
    before = await content(SqliteStore.open(file))
    steps = []

    done = moving.move(file, where, lambda *step: steps.append(step))

    left = {one.name for one in file.parent.glob("bridge.db*") if not one.name.startswith(done.kept.name)}
    assert left == {"bridge.db.lock"}
    with pytest.raises(ConfigurationError, match="there is no ledger"):
        moving.move(file, where)
    done.kept.rename(file)
    with pytest.raises(ConfigurationError, match="was moved into the database"):
        moving.move(file, where)
    assert (done.rows, done.endpoints) == (4 + 5 + 2 + 1 + 2 + 1 + 50 + 50 + 13, 4)
    assert steps[-1] == (2 * done.rows, 2 * done.rows)
    after = await content(PostgresStore.open(where))
    assert after[0] == before[0]
    assert [text.replace("�", "\\x00") for text in after[1]] == before[1]
    assert after[2] == before[2]


def test_no_table_of_the_file_is_forgotten(path):
    with closing(connect_writer(path)) as made:
        migrate(made)
        there = {name for (name,) in made.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert there == {*moving.TABLES, *moving.MARKS}


async def test_every_table_is_in_the_move_that_is_tested(file):
    with closing(connect_reader(file)) as source:
        empty = [table for table in moving.TABLES if not moving._count(source, table)]
    assert empty == []


async def test_events_keys_and_webhooks_go_on_where_they_were(file, where):
    moving.move(file, where)
    store = PostgresStore.open(where)
    assert await store.outbox.bounds() == (2, 2)
    await store.committed([Insert.of(EventRow(None, 1, 300.0, "message.outcome", "endpoint-1", "{}"))])
    assert [one.id for one in await store.outbox.events(after=0, limit=9)] == [2, 3]
    assert (await store.access.add_key(ApiKey(0, "another", Role.READ, b"d", 100.0))).id == 2
    (standing,) = await store.fleet.page(EndpointConditions(names=frozenset({"endpoint-1"})), limit=9)
    assert standing.provisioning.state is ProvisioningState.READY
    assert standing.uplink is not None
    await store.close()


async def test_ids_go_on_where_they_were(file, where):
    moving.move(file, where)
    store = PostgresStore.open(where)
    assert store.next_id() == 102
    (made,) = await store.directory.add([Draft("net", "new", "new", ("leshan",))], SOURCES, lambda: 300.0)
    assert made.id == 6, "the id of the removed endpoint is not given again"
    taken = (await load(store, ById(1))).record.locals
    assert made.locals != taken
    await store.close()


async def test_a_move_that_breaks_off_goes_on_and_the_bridge_waits_for_it(file, where, monkeypatch):
    monkeypatch.setattr(moving, "PART", 7)
    before = await content(SqliteStore.open(file))

    class Broken(Exception):
        pass

    def break_off(done, _all, after):
        if done >= after:
            raise Broken

    for after in (5, 20, 60, 100, 180):
        with pytest.raises(Broken):
            moving.move(file, where, lambda done, whole, after=after: break_off(done, whole, after))
        with pytest.raises(ConfigurationError, match=r"not whole yet: run .* again"):
            PostgresStore.open(where)
    moving.move(file, where)

    after = await content(PostgresStore.open(where))
    assert (after[0], after[2]) == (before[0], before[2])


async def test_what_was_changed_meanwhile_is_noticed(file, where, monkeypatch):
    whole = moving._Copy._copy

    def altered(self, table, *rest, **more):
        copied = whole(self, table, *rest, **more)
        if table == "downlink":
            self._target.execute("UPDATE downlink SET reason = 'other' WHERE id = 7")
        return copied

    monkeypatch.setattr(moving._Copy, "_copy", altered)
    with pytest.raises(StoreUnavailable, match="row 7 of downlink is not the same"):
        moving.move(file, where)
    assert file.exists()


async def test_a_ledger_that_is_in_use_or_a_database_that_has_one_is_left_alone(file, where):
    store = SqliteStore.open(file)
    with pytest.raises(ConfigurationError, match="in use by process"):
        moving.move(file, where)
    await store.close()
    used = PostgresStore.open(where)
    await used.directory.add([Draft("net", "device", "name", ("leshan",))], None, lambda: 1.0)
    with pytest.raises(ConfigurationError, match="in use by another bridge"):
        moving.move(file, where)
    await used.close()
    with pytest.raises(ConfigurationError, match="there is a ledger in the database already"):
        moving.move(file, where)
    assert file.exists()


def test_a_file_that_is_not_there_is_a_clear_error(tmp_path, where):
    with pytest.raises(ConfigurationError, match="there is no ledger"):
        moving.move(tmp_path / "bridge.db", where)
