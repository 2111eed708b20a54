"""A database of version 0.1.0, with rows in every state, is brought up and says the same as before."""

from itertools import count

import apsw
from old_databases import build

from bindings.contract import Accepted, NetworkState
from bridge.coap.udp import decode, frame
from bridge.delivery.attempts import facts_of
from bridge.delivery.downlinks import Answer, CoapDownlink, ServerRequest
from bridge.delivery.rows import Insert
from bridge.delivery.rules import NEVER_DELIVERED, state_of
from bridge.delivery.states import DownlinkState, UplinkState
from bridge.delivery.uplinks import CoapUplink, DeviceRequest, DeviceUplink, OpaqueUplink, Response, Verdict
from bridge.directory import Sources
from bridge.directory.keys import ById
from bridge.relay.hops import PLAIN, to_server
from bridge.store.sql.endpoint_rows import rows_of
from bridge.store.sqlite import Reader, SqliteStore
from tests.relay.world import DOWNLINKS, NIDD, World
from tests.store.asking import load

SAME = ("endpoint", "shard", "operation", "reason", "finished_at", "keep_until", "due")


async def everything(path):
    store = SqliteStore.open(path)
    downlinks = await store.reads.downlinks(limit=9999)
    uplinks = await store.reads.uplinks(limit=9999)
    await store.close()
    return {row.id: row for row in downlinks}, {row.id: row for row in uplinks}


def test_the_old_database_has_every_state_and_kind(path):
    before = build(path)
    assert {row["state"] for row in before["downlink"].values()} == {*map(str, DownlinkState)}
    assert {row["state"] for row in before["uplink"].values()} == {*map(str, UplinkState)}
    assert {row["kind"] for row in before["downlink"].values()} == {"request", "answer", "opaque"}
    kinds = {row["kind"] for row in before["uplink"].values()}
    assert kinds == {"request", "notification", "response", "verdict", "opaque"}


async def test_each_message_to_a_device_has_the_bytes_and_the_fields_that_it_had(path):
    before = build(path)["downlink"]
    after, _ = await everything(path)
    assert after.keys() == before.keys()
    for id_, row in after.items():
        old = before[id_]
        assert PLAIN.encode(row) == old["payload"], old
        assert (row.KIND, row.state, row.over, row.repeatable) == (
            old["kind"], old["state"], old["over"] == 1, old["repeatable"] == 1,
        )  # fmt: skip
        assert all(getattr(row, name) == old[name] for name in (*SAME, "deliver_by", "not_before", "accepted_at"))
        if isinstance(row, ServerRequest):
            assert (row.confirmable, row.answered, row.late) == (
                old["confirmable"] == 1, old["answered"] == 1, old["late"] == 1,
            )  # fmt: skip
            names = (
                "server",
                "north_mid",
                "north_token",
                "south_mid",
                "south_token",
                "observe",
                "priority",
                "answer_by",
            )
            assert all(getattr(row, name) == old[name] for name in names)
            whole = None if old["split_from"] is None else decode(old["split_from"]).body
            assert row.split_from == whole
        elif isinstance(row, CoapDownlink):
            assert row.own_mid == old["south_mid"]
        if isinstance(row, Answer):
            assert row.answers == old["answers"]


async def test_each_message_toward_a_server_has_the_bytes_and_the_fields_that_it_had(path):
    before = build(path)["uplink"]
    _, after = await everything(path)
    assert after.keys() == before.keys()
    asked = 0
    for id_, row in after.items():
        old = before[id_]
        assert (row.KIND, row.state) == (old["kind"], old["state"])
        delivered = isinstance(row, DeviceRequest) and row.reply_delivered
        assert all(getattr(row, name) == old[name] for name in SAME if name != "reason" or not delivered)
        assert not delivered or old["reason"] == "the device has its reply"
        if isinstance(row, OpaqueUplink):
            assert (row.body, row.digest) == (old["payload"], old["digest"])
        elif isinstance(row, CoapUplink) and old["payload"]:
            assert to_server(row) == old["payload"], old
        if isinstance(row, Response | Verdict):
            assert row.downlink == old["downlink"]
        if isinstance(row, DeviceUplink):
            assert all(getattr(row, name) == old[name] for name in ("south_mid", "south_token", "digest"))
            assert reply(row) == old["answer"]
            assert row.reply_downlink == old["answer_downlink"]
        if isinstance(row, DeviceRequest) and row.no_response is not None:
            asked += 1
            assert (row.no_response, decode(old["payload"]).uint(258)) == (26, 26)
    assert asked == 1


def reply(row):
    """Return the kept reply as the device is to see it."""
    if row.reply_type is None:
        return None
    token = row.south_token if row.reply_code else b""
    return frame(row.reply_type, row.reply_code, row.reply_mid, token, row.reply_body)


NOTES = [
    ("nidd", "d/d1@old.example", b"its configuration"),
    ("nidd", "c/c-77", b"d1@old.example"),
    ("nidd", "c/c-78", b"gone@old.example"),
    ("nidd", "path", b"secret"),
    ("lora", "d/70b3d57ed005a1b2", b"its session"),
    ("lora", "p/profile", b"its region"),
]


async def test_a_note_of_a_device_is_known_as_one(path):
    build(path)
    connection = apsw.Connection(str(path))
    connection.executemany("INSERT INTO binding_memory VALUES (?, ?, ?)", NOTES)
    connection.execute("UPDATE endpoint SET network = 'nidd' WHERE id = 1")
    connection.close()
    store = SqliteStore.open(path)
    found = await store.run(lambda c: c.execute("SELECT network, key, device, value FROM note").fetchall())
    owners = {(network, key): device for network, key, device, _ in found}
    assert {(network, key, value) for network, key, _, value in found} == set(NOTES)
    assert {key: device for (_, key), device in owners.items()} == {
        "d/d1@old.example": "d1@old.example", "c/c-77": "d1@old.example", "c/c-78": "", "path": "",
        "d/70b3d57ed005a1b2": "70b3d57ed005a1b2", "p/profile": "",
    }  # fmt: skip
    assert (await load(store, ById(1))).notes == {"d/d1@old.example": b"its configuration", "c/c-77": b"d1@old.example"}
    await store.close()


class Tens:
    """A shard for every ten sources: few enough that the old database's sixty endpoints have several."""

    def part(self, shard):
        return [range(10 * shard, 10 * shard + 10)]

    def shard_of(self, source):
        return source // 10


async def test_the_first_start_finds_each_endpoints_shard_and_moves_no_address(path):
    build(path)
    store = SqliteStore.open(path)
    before = await store.directory.page(network=None, server=None, enabled=None, prefix="", after="", limit=99)
    assert {record.shard for record in before} == {0}
    sources = Sources("prefix", range(1000), lambda number: (f"10.0.0.{number}:56830",), Tens())
    await store.directory.renew([record.id for record in before], sources, lambda: 1.7e9)
    after = await store.directory.page(network=None, server=None, enabled=None, prefix="", after="", limit=99)
    assert [record.source for record in after] == [record.source for record in before]
    shards = {record.id: record.shard for record in after}
    assert shards == {record.id: record.source // 10 for record in before}
    for table in ("downlink", "uplink", "report", "observation", "relay", "north_source"):
        rows = await store.run(lambda c, table=table: c.execute(f"SELECT endpoint, shard FROM {table}").fetchall())
        assert rows
        assert all(shard == shards[endpoint] for endpoint, shard in rows)
    await store.close()


def world_of(path, kept):
    """Return a world in which an endpoint of the old database goes on."""
    world = World(id=kept.downlinks[0].endpoint)
    for row in (*kept.downlinks, *kept.uplinks, *kept.observations, *kept.reports, *filter(None, [kept.relay])):
        insert = Insert.of(row)
        key = tuple(getattr(row, name) for name in row.KEY)
        world.tables.setdefault(insert.row, {})[key] = insert.values
    world.ids = count(10_000)
    world.network = Accepted("later", NetworkState.SENT)
    world.wall += 410.0  # after all that happened in it
    return world


async def test_an_old_ledger_goes_on_where_it_was(path):
    """What was under way keeps its state, is looked up where that is due, and at its end claims what was known."""
    before = build(path)["downlink"]
    await SqliteStore.open(path).close()
    reader = Reader.open(path)
    names = dict(reader.connection.execute("SELECT id, name FROM endpoint"))
    found = rows_of(reader.connection, names, 0.0)
    reader.close()
    went_on = 0
    for endpoint, kept in found.items():
        live = [row for row in kept.downlinks if not row.over]
        for row in live:
            may_repeat = row.state == "UNKNOWN" and row.repeatable  # what nobody knows of may go once more
            now = state_of(row, facts_of(row.attempts), 0.0, NIDD)
            assert now == row.state or (may_repeat and now == "QUEUED"), (names[endpoint], row)
            assert row.attempts[-1].number == before[row.id]["attempt"] if row.attempts else True
        if not live:
            continue
        went_on += 1
        world = world_of(path, kept)
        world.restart()
        asked = {lookup.attempt.downlink for lookup in world.lookups}
        doubtful = {row.id for row in live if before[row.id]["state"] in ("SUBMITTING", "UNKNOWN")}
        assert asked <= doubtful
        assert {row.id for row in live if before[row.id]["state"] == "SUBMITTING"} <= asked
        world.passes(8 * 86400.0)
        for row in live:
            after = next(one for one in world.rows(*DOWNLINKS) if one["id"] == row.id)
            old = before[row.id]
            assert after["over"], (names[endpoint], after)
            may_have_left = old["sent"] or old["setback"] in ("UNKNOWN", "NACKED") or row.id in doubtful
            if may_have_left:
                assert after["state"] not in NEVER_DELIVERED, (names[endpoint], after)
            if row.operation == "Execute" and (may_have_left or old["state"] == "BUFFERED"):
                assert all(one.attempt.downlink != row.id for one in world.submitted), names[endpoint]
    assert went_on > 30


async def test_a_registration_is_that_of_the_server_which_got_the_last_register(path):
    build(path)
    await everything(path)
    store = SqliteStore.open(path)
    try:
        kept = (await load(store, ById(47))).kept
        observed = (await load(store, ById(56))).kept.observations
    finally:
        await store.close()
    (one,) = kept.relay.registrations
    assert (one.server, one.location, one.told, one.path) == ("srv", (b"rd", b"abc"), (b"rd", b"abc"), "/rd/abc")
    assert [(row.path, row.heard_at) for row in observed] == [("", 1_700_000_000.0)]
