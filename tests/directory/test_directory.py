"""Which device address is which endpoint: lookups, checks, changes, and what a restart keeps."""

import asyncio
from dataclasses import replace

import pytest
from msgspec.structs import replace as replace_fields

from bridge.delivery.downlinks import OpaqueDownlink
from bridge.delivery.rows import Insert
from bridge.delivery.states import DownlinkState, UplinkState
from bridge.delivery.uplinks import OpaqueUplink
from bridge.directory import Draft
from bridge.directory.record import check_template
from bridge.errors import BridgeError, ConfigurationError, DirectoryError, StoreUnavailable
from bridge.relay.model import Observation, RelayState, ServerProfile


async def test_an_endpoint_is_found_by_name_device_id_and_source(directory, draft):
    made = await directory.add(draft(servers=("coiote", "leshan"), default_ttl=60.0, options={"fport": "7"}))

    assert await directory.by_name("ep1") == made
    assert await directory.by_device("nidd", "d1@x.org") == made
    assert await directory.by_id(made.id) == made
    assert await directory.by_source(made.source) == made
    assert made.locals == ("127.64.0.0:56830",)
    assert await directory.by_id(99) is None
    for look_up in (directory.by_name("?"), directory.by_device("lora", "d1@x.org"), directory.by_source(5)):
        assert await look_up is None


async def test_a_restart_keeps_everything(opened, draft):
    directory = await opened()
    made = [await directory.add(draft(number, confirmed=True, object_list="</1/0>")) for number in range(5)]
    directory = await opened()
    assert [await directory.by_name(record.name) for record in made] == made
    assert await directory.renew_sources() == 0


async def test_r29_a_store_that_cannot_be_read_makes_no_strangers(opened, stores, draft):
    """Whoever brought something for the endpoint is to bring it again."""
    await (await opened()).add(draft())
    directory = await opened()
    stores.fail_reads(directory.store, True)
    for look_up in (directory.by_device("nidd", "d1@x.org"), directory.by_source(0)):
        with pytest.raises(StoreUnavailable):
            await look_up
    stores.fail_reads(directory.store, False)
    assert (await directory.by_device("nidd", "d1@x.org")).name == "ep1"


async def test_what_is_given_is_made_canonical_and_complete(directory):
    made = await directory.add(Draft("lora", "70B3D57ED005A1B2"))
    assert (made.name, made.device, made.servers) == ("urn:dev:mac:70b3d57ed005a1b2", "70b3d57ed005a1b2", ("leshan",))


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"name": ""}, "no template"),
        ({"name": "a\nb"}, "cannot be printed"),
        ({"name": "a\udc80"}, "cannot be printed"),
        ({"name": " a"}, "space"),
        ({"name": "ä" * 128}, "255 bytes"),
        ({"network": "other"}, "not configured"),
        ({"device": "nobody"}, "no External Identifier"),
        ({"servers": ("x",)}, "'x' is not configured; there are coiote, leshan"),
        ({"servers": ("leshan", "leshan")}, "twice"),
        ({"profile": "x"}, "profile 'x' is not configured"),
        ({"default_ttl": 0.0}, "default_ttl"),
        ({"default_ttl": float("nan")}, "default_ttl"),
        ({"default_ttl": 1e12}, "default_ttl"),
        ({"object_list": "1/0"}, "CoRE Link Format"),
        ({"object_list": "</1/0>,"}, "CoRE Link Format"),
        ({"object_list": "</1/0>" + ",</1/0>" * 1000}, "longer"),
        ({"options": {"a": "b" * 5000}}, "option"),
    ],
)
async def test_wrong_entries_are_refused_with_the_reason(directory, draft, wrong, reason):
    with pytest.raises(DirectoryError, match=reason):
        await directory.add(draft(**wrong))
    assert directory.size == await directory.count() == 0


@pytest.mark.parametrize(
    "links", ["</1/0>", '</>;rt="oma.lwm2m";ct=11,</1/0>,</3/0>;ver=1.1', '</5>;title="a,b;c",</6>']
)
async def test_object_lists_of_real_devices_are_taken(directory, draft, links):
    assert (await directory.add(draft(object_list=links))).object_list == links


async def test_the_longest_name_is_taken(directory, draft):
    assert (await directory.add(draft(name="é" * 127 + "e"))).name.startswith("é")


@pytest.mark.parametrize("template", ["{device.__class__}", "{0}", "{", "{nobody}", "same", "{network}", "{device:>9}"])
def test_templates_that_cannot_name_devices_are_refused(template):
    with pytest.raises(ConfigurationError, match="template"):
        check_template(template)


async def test_name_and_device_belong_to_one_endpoint_each(directory, draft):
    await directory.add(draft(1))
    with pytest.raises(DirectoryError, match="'ep1' already"):
        await directory.add(draft(1, device="other@x.org"))
    with pytest.raises(DirectoryError, match=r"device 'd1@x.org' of network 'nidd' is endpoint 'ep1' already"):
        await directory.add(draft(1, name="other", device="D1@X.ORG"))
    await directory.add(draft(2))
    with pytest.raises(DirectoryError, match="is endpoint 'ep1' already"):
        await directory.update("ep2", device="d1@x.org")
    assert (await directory.by_name("ep2")).device == "d2@x.org"


async def test_a_group_of_which_one_is_refused_adds_none(directory, draft):
    with pytest.raises(DirectoryError):
        await directory.add_all([draft(1), draft(2), draft(1, name="again")])
    assert directory.size == await directory.count() == 0
    assert (await directory.add(draft(3))).source == 0


async def test_a_change_is_seen_by_every_look_up(directory, draft):
    await directory.add(draft())
    await directory.by_device("nidd", "d1@x.org")
    await directory.update("ep1", name="new", device="new@x.org", enabled=False)

    assert await directory.by_name("ep1") is None
    assert await directory.by_device("nidd", "d1@x.org") is None
    found = await directory.by_name("new")
    assert found == await directory.by_device("nidd", "new@x.org") == await directory.by_source(found.source)
    assert not found.enabled
    with pytest.raises(DirectoryError, match="no endpoint 'ep1'"):
        await directory.update("ep1", enabled=True)


async def test_listeners_hear_of_durable_changes_and_r24_of_changed_servers(directory, draft, caplog):
    heard = []
    directory.subscribe(lambda change: 1 // 0)
    directory.subscribe(heard.append)
    made = await directory.add(draft())
    renamed = await directory.update("ep1", default_ttl=5.0)
    moved = await directory.update("ep1", servers=("coiote",))
    same = await directory.update("ep1", servers=("coiote",))
    await directory.remove("ep1")

    assert [(c.before, c.after) for c in heard] == [(None, made), (made, renamed), (renamed, moved), (moved, None)]
    assert [c.north_changed for c in heard] == [False, False, True, False]
    assert same == moved
    assert "ZeroDivisionError" in caplog.text


async def test_a_removed_endpoint_leaves_outcomes_and_no_state(directory, draft):
    store = directory.store
    made = await directory.add(draft())
    states = [
        (DownlinkState.QUEUED, DownlinkState.CANCELLED),
        (DownlinkState.SUBMITTING, DownlinkState.UNKNOWN),
        (DownlinkState.BUFFERED, DownlinkState.UNKNOWN),
        (DownlinkState.SENT, DownlinkState.UNANSWERED),
        (DownlinkState.DELIVERED, DownlinkState.UNANSWERED),
        (DownlinkState.UNKNOWN, DownlinkState.UNKNOWN),
    ]
    rows = [
        replace_fields(
            OpaqueDownlink.accepted(store.next_id(), made.id, 0, 1.0, 9.0, b"", "leshan"), state=state, due=2.0
        )
        for state, _ in states
    ]
    up = replace_fields(OpaqueUplink.received(store.next_id(), made.id, 0, 1.0, "leshan", b"", b"", None), due=2.0)
    rest = [Observation(made.id, b"1", 0, "leshan", b"", 1.0), RelayState(made.id, 0)]
    await store.committed([Insert.of(row) for row in (*rows, up, *rest)])

    await directory.remove("ep1")

    left = await store.reads.downlinks(endpoint=made.id)
    assert [(row.state, row.over, row.due) for row in reversed(left)] == [(end, True, None) for _, end in states]
    assert (await store.reads.uplinks())[0].state is UplinkState.EXPIRED
    assert [part async for part in store.unfinished()] == []
    assert (await directory.add(draft())).id != made.id


async def test_pages_follow_names_and_conditions(directory, draft):
    await directory.add_all([draft(n, servers=("coiote",) if n % 2 else ("leshan", "coiote")) for n in range(6)])
    await directory.add(Draft("lora", "70b3d57ed005a1b2", enabled=False))

    async def names(**given):
        return [record.name for record in await directory.page(**given)]

    assert await names(limit=2) == ["ep0", "ep1"]
    assert await names(limit=2, after="ep1") == ["ep2", "ep3"]
    assert (
        await names(network="lora")
        == await names(enabled=False)
        == await names(prefix="urn:")
        == ["urn:dev:mac:70b3d57ed005a1b2"]
    )
    assert await names(server="coiote", prefix="ep", after="ep3") == ["ep4", "ep5"]
    assert await names(server="leshan", prefix="ep") == ["ep0", "ep2", "ep4"]
    assert (directory.size, await directory.count()) == (7, 7)
    assert (await directory.count(network="nidd"), await directory.count(server="leshan")) == (6, 4)
    assert [record.name async for record in directory.all(network="nidd")] == [f"ep{n}" for n in range(6)]


async def test_memory_holds_only_what_was_used_last(opened, draft):
    directory = await opened(cached=4)
    await directory.add_all([draft(n) for n in range(20)])
    for n in range(20):
        assert (await directory.by_name(f"ep{n}")).device == f"d{n}@x.org"
    assert 8 <= len(directory._cache) <= 16, "each record is kept under four keys"


async def test_configuration_seeds_and_never_changes_or_deletes(opened, draft):
    directory = await opened()
    await directory.add_all([draft(1, default_ttl=5.0), draft(2), draft(3)])

    seeded = await directory.seed([draft(1), draft(2), draft(4), draft(5, device="d3@x.org"), draft(6, name="a\n")])

    assert (seeded.added, seeded.different) == (["ep4"], ["ep1"])
    assert [(wrong.name, "already" in why) for wrong, why in seeded.refused] == [("ep5", True), ("a\n", False)]
    assert [record.name async for record in directory.all()] == ["ep1", "ep2", "ep3", "ep4"]
    assert (await directory.by_name("ep1")).default_ttl == 5.0


async def test_changes_at_the_same_time_are_made_one_after_the_other(directory, draft):
    outcomes = await asyncio.gather(
        *(directory.add(draft(1, device=f"same{n % 2}@x.org")) for n in range(4)), return_exceptions=True
    )
    assert [isinstance(outcome, BridgeError) for outcome in outcomes] == [False, True, True, True]


async def test_the_core_gets_servers_with_the_profile_that_the_endpoint_names(directory, draft):
    plain = directory.endpoint(await directory.add(draft(1, servers=("coiote", "leshan"), confirmed=True)))
    special = directory.endpoint(await directory.add(draft(2, profile="transparent")))

    assert [server.key for server in plain.servers] == ["coiote", "leshan"]
    assert plain.servers[0].profile == ServerProfile()
    assert (plain.name, plain.device, plain.confirmed) == ("ep1", "d1@x.org", True)
    assert not special.servers[0].profile.fit_register


async def test_a_server_that_is_gone_from_the_configuration_is_left_out(directory, draft):
    both = await directory.add(draft(1, servers=("coiote", "leshan")))
    one = await directory.add(draft(2, servers=("coiote",)))
    left = replace(directory.catalogue, servers={"leshan": directory.catalogue.servers["leshan"]})
    assert [server.key for server in left.endpoint(both).servers] == ["leshan"]
    assert left.endpoint(one).servers == ()
    with pytest.raises(ConfigurationError, match="not configured"):
        replace(left, default_servers=("coiote",))
