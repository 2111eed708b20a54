"""Access control with several servers (Core TS 1.1 §8), and Send, which servers switch and rights limit."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from lwm2m_pair import served, uri, virtual_time

from mock_network.device.device import Device, SendMuted
from mock_network.device.options import DEFAULT_OBJECTS, DeviceOptions, ServerOptions
from mock_network.device.refusal import OperationError
from mock_network.lwm2m.formats import ContentFormat
from mock_network.lwm2m.values import Record

EP = "urn:dev:os:test-1"
OWNER, OTHER = 101, 102


@asynccontextmanager
async def two_servers(**options):
    """Yield a device with two servers: the first owns everything but the other's account."""
    async with served() as owner, served() as other:
        more = (ServerOptions(OTHER, uri(other), lifetime=1000),)
        device = Device(DeviceOptions(EP, uri(owner), more_servers=more, seed=3, **options))
        await device.start()
        try:
            await owner.wait_registered(EP, 60)
            await other.wait_registered(EP, 60)
            yield device, owner, other
        finally:
            await device.stop()


@virtual_time
async def test_each_server_has_its_own_registration_and_lifetime():
    async with two_servers() as (device, owner, other):
        assert (owner.client(EP).lifetime, other.client(EP).lifetime) == (86400, 1000)
        await asyncio.sleep(3000)
        assert len(other.seen.of("updated")) == 3
        assert not owner.seen.of("updated")
        assert (await device.deregister(server=OTHER)).code == "2.02"
        assert owner.client(EP)


@pytest.mark.parametrize(
    ("operation", "path", "owners", "others"),
    [
        ("read", "/3/0/9", "2.05", "2.05"),
        ("observe", "/3/0/9", "2.05", "2.05"),
        ("read", "/1/0", "2.05", "4.01"),  # the owner's account
        ("read", "/1/1", "4.01", "2.05"),
        ("read", "/2/0", "2.05", "2.05"),
        ("read", "/0/0", "4.01", "4.01"),
        ("execute", "/3/0/12", "2.04", "4.01"),
        ("execute", "/1/1/8", "4.01", "2.04"),
        ("create", "/3303", "2.01", "4.01"),
        ("create", "/2", "4.05", "4.05"),
        ("create", "/1", "4.05", "4.05"),
        ("delete", "/3303/0", "2.02", "4.01"),
        ("delete", "/1/1", "4.05", "4.05"),
        ("discover", "/1/0", "2.05", "2.05"),
    ],
)
@virtual_time
async def test_what_the_owner_and_another_server_may_do(operation, path, owners, others):
    async with two_servers() as (_, owner, other):
        for server, code in ((other, others), (owner, owners)):
            result = await getattr(server, operation)(EP, path)
            assert getattr(result, "first", result).code == code


@virtual_time
async def test_a_read_of_an_object_shows_the_instances_that_the_server_may_read():
    async with two_servers() as (_, owner, other):
        assert {record.path[1] for record in (await owner.read(EP, "/1")).records} == {0}
        assert {record.path[1] for record in (await other.read(EP, "/1")).records} == {1}


@virtual_time
async def test_who_creates_an_instance_owns_it_and_gives_rights_to_others():
    async with two_servers() as (device, owner, other):
        control = next(
            path
            for path in device.tree.instances((2,))
            if device.tree.get((*path, 0)) == 3303 and device.tree.get((*path, 1)) == 65535
        )
        rights = [Record((*control, 2, OTHER), 16)]
        assert (await other.write(EP, f"/2/{control[1]}", rights, replace=False)).code == "4.01"
        device.tree.set((*control, 2, OTHER), 16)  # as a bootstrap server would
        assert (await other.create(EP, "/3303", [Record((3303, 5, 5750), "cellar")])).code == "2.01"
        assert (await owner.read(EP, "/3303/5")).code == "4.01"
        mine = next(path for path in device.tree.instances((2,)) if device.tree.get((*path, 1)) == 5)
        assert device.tree.get((*mine, 3)) == OTHER
        allowed = await other.write(EP, f"/2/{mine[1]}/2", [Record((*mine, 2, OWNER), 1)], replace=False)
        assert allowed.code == "2.04"
        assert (await owner.read(EP, "/3303/5/5750")).value == "cellar"
        assert (await owner.write(EP, "/3303/5/5750", "attic")).code == "4.01"
        assert (await other.delete(EP, "/3303/5")).code == "2.02"
        assert mine not in device.tree.instances((2,))


@virtual_time
async def test_attributes_of_one_server_concern_no_other():
    async with two_servers() as (device, owner, other):
        assert (await owner.write_attributes(EP, "/3303/0/5700", ["st=10"])).code == "2.04"
        coarse, fine = await owner.observe(EP, "/3303/0/5700"), await other.observe(EP, "/3303/0/5700")
        for value in (21.0, 22.0, 31.0):
            device.set("/3303/0/5700", value)
            await asyncio.sleep(1)
        assert [coarse.value_of(one) for one in coarse.notifications] == [31.0]
        assert [fine.value_of(one) for one in fine.notifications] == [21.0, 22.0, 31.0]
        links = (await other.discover(EP, "/3303/0/5700")).links
        assert links[0].attributes == {}


@pytest.mark.requirement("LightweightM2 M-DSE-004")
@virtual_time
async def test_send_is_switched_by_each_server_and_limited_by_its_rights():
    """/1/x/23 Mute Send, and the Access Control List."""
    async with two_servers() as (device, owner, other):
        assert (await device.send(["/3/0/9", "/1/0/1"], server=OTHER)).code == "2.04"
        assert [record.path for record in other.sends[0][1]] == [(3, 0, 9)]  # the owner's account is left out
        with pytest.raises(OperationError):
            await device.send(["/1/0/1"], server=OTHER)
        assert (await other.write(EP, "/1/1/23", value := True)).code == "2.04"
        with pytest.raises(SendMuted):
            await device.send(["/3/0/9"], server=OTHER)
        assert (await device.send(["/3/0/9"])).code == "2.04"
        assert (await other.write(EP, "/1/1/23", not value)).code == "2.04"
        assert (await device.send(["/3/0/9"], server=OTHER)).code == "2.04"
        assert len(owner.sends) == 1


@virtual_time
async def test_without_mute_send_send_is_muted():
    """/1/x/23: a resource that is not there means muted."""
    async with two_servers() as (device, _, __):
        device.tree.remove((1, 0, 23))
        with pytest.raises(SendMuted):
            await device.send(["/3/0/9"])


@virtual_time
async def test_an_address_that_is_no_servers_may_do_nothing():
    async with served() as stranger, two_servers() as (device, owner, _):
        client = owner.client(EP)
        stranger.registry.by_endpoint[EP] = client
        assert (await stranger.read(EP, "/3/0/9")).code == "4.01"
        assert device.operations.times("Unknown") == 1


@virtual_time
async def test_several_servers_behind_one_pipe_are_told_apart_by_uri_host():
    async with served() as pipe:
        more = (ServerOptions(OTHER, "coap://second.example"),)
        options = DeviceOptions(EP, "coap://first.example", more_servers=more, pipe=pipe.address, keep_registered=False)
        device = Device(options)
        await device.start()
        await device.register()
        await device.register(server=OTHER)
        hosts = [datagram for datagram in device.wire if datagram.outgoing and datagram.code == "0.02"]
        assert len(hosts) == 2
        request = {"options": ((3, b"second.example"),)}
        for extra, code in (({}, "4.01"), (request, "2.05")):
            result = await pipe.request(EP, (1, 1), _get(**extra))
            assert result[0].code == code
        await device.stop()


def _get(**options):
    from mock_network.lwm2m.messages import GET, Request

    return Request(GET, **options)


@virtual_time
async def test_objects_without_instances_can_be_read_by_the_server_of_a_single_server_device():
    async with served() as server:
        device = Device(DeviceOptions(EP, uri(server), objects=DEFAULT_OBJECTS | {26250}))
        await device.start()
        await server.wait_registered(EP, 60)
        result = await server.read(EP, "/26250", accept=ContentFormat.TLV)
        assert (result.code, result.records) == ("2.05", [])
        await device.stop()
