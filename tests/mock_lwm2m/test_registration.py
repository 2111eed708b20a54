"""Registration: what the device says, what the server checks as Leshan does, and how long it lasts."""

import asyncio
import itertools
import random

import pytest
from lwm2m_pair import pair, served, uri, virtual_time

from mock_network.device.device import Device
from mock_network.device.options import DeviceOptions
from mock_network.device.tasks import Register
from mock_network.lwm2m.messages import NoAnswer, NotAcknowledged, Request, Tuning
from mock_network.lwm2m_server.registry import Registry
from mock_network.lwm2m_server.server import NotRegistered

EP = "urn:dev:os:test-1"
LINKS = b"</1/0>,</3/0>"


def register(registry, *query, confirmable=True, payload=LINKS, peer=("127.0.0.1", 1)):
    request = Request("0.02", ("rd",), query, payload, 40, confirmable=confirmable, peer=peer)
    return registry.register(request, 0.0)


@pytest.mark.parametrize(
    ("query", "options", "code"),
    [
        (("ep=a", "lt=60", "lwm2m=1.1", "b=U"), {}, "2.01"),
        (("ep=a", "lwm2m=1.0", "b=UQ"), {}, "2.01"),
        (("ep=a", "lwm2m=1.1", "b=N", "Q"), {}, "2.01"),
        (("ep=a", "lwm2m=1.1"), {"confirmable": False}, "4.00"),
        (("ep=a", "lt=60"), {}, "4.00"),
        (("ep=a", "lwm2m="), {}, "4.00"),
        (("ep=a", "lwm2m=1.2"), {}, "4.12"),
        (("lt=60", "lwm2m=1.1"), {}, "4.03"),
        (("ep=a", "lwm2m=1.1"), {"payload": b""}, "4.00"),
        (("ep=a", "lwm2m=1.1"), {"payload": b"<<"}, "4.00"),
        (("ep=a", "lwm2m=1.0", "b=N"), {}, "4.00"),
        (("ep=a", "lwm2m=1.1", "b=UQ"), {}, "4.00"),
        (("ep=a", "lwm2m=1.1", "b=M"), {}, "5.00"),
        (("ep=a", "lwm2m=1.1", "lt=soon"), {}, "4.00"),
    ],
)
def test_register_is_checked_as_leshan_does(query, options, code):
    response, client, _ = register(Registry(random.Random(1)), *query, **options)
    assert response.code == code
    assert (client is not None) == (code == "2.01")


def test_the_location_has_ten_characters():
    response, _, _ = register(Registry(random.Random(1)), "ep=a", "lwm2m=1.1")
    assert response.location[0] == "rd"
    assert len(response.location[1]) == 10
    assert response.location[1].isalnum()


def test_without_lt_the_lifetime_is_a_day():
    _, client, _ = register(Registry(random.Random(1)), "ep=a", "lwm2m=1.1")
    assert client.lifetime == 86400


@virtual_time
async def test_what_the_device_says_at_register():
    async with pair(binding="N", queue_mode=True, lifetime=600) as (device, server):
        client = server.client(EP)
        assert client.parameters == {"ep": EP, "lt": "600", "lwm2m": "1.1", "b": "N", "Q": ""}
        assert client.address == device.address
        targets = [link.target for link in client.links]
        assert targets == ["/", "/1", "/1/0", "/3", "/3/0", "/4/0", "/5/0", "/3303", "/3303/0"]
        assert device.registration.location == ("rd", client.location)


@pytest.mark.parametrize(
    ("omitted", "parameters", "code"),
    [
        ("ep", ["lt=86400", "lwm2m=1.1", "b=U"], "4.03"),
        ("lt", [f"ep={EP}", "lwm2m=1.1", "b=U"], "2.01"),
        ("lwm2m", [f"ep={EP}", "lt=86400", "b=U"], "4.00"),
        ("b", [f"ep={EP}", "lt=86400", "lwm2m=1.1"], "2.01"),
    ],
)
@virtual_time
async def test_a_device_may_leave_parameters_out(omitted, parameters, code):
    async with pair(registered=False, keep_registered=False, omit=frozenset({omitted})) as (device, _):
        assert list(device.client._register(Register(101)).query) == parameters
        assert (await device.register()).code == code


@virtual_time
async def test_without_object_list_the_device_sends_it_when_the_server_answers_4_09():
    """Transport TS 6.8.4: the first attempt may leave the list out."""
    async with pair(registered=False, omit=frozenset({"links"}), keep_registered=False) as (device, server):
        assert (await device.register()).code == "4.00"
        assert device.registration.location is None
        assert (await device.register(complete=True)).code == "2.01"
        assert server.client(EP).links


@virtual_time
async def test_the_device_updates_before_its_lifetime_ends():
    async with pair(lifetime=300) as (_, server):
        await asyncio.sleep(3000)
        updates = server.seen.of("updated")
        assert len(updates) >= 13  # each 207 s: lifetime less MAX_TRANSMIT_WAIT
        assert server.seen.of("registered") == server.seen.of("registered")[:1]
        assert not server.seen.of("expired")


@virtual_time
async def test_a_silent_device_expires():
    async with pair(lifetime=300, keep_registered=False, registered=False) as (device, server):
        await device.register()
        await asyncio.sleep(299)
        assert server.client(EP)
        await asyncio.sleep(2)
        with pytest.raises(NotRegistered):
            server.client(EP)
        assert len(server.seen.of("expired", EP)) == 1


@virtual_time
async def test_writing_the_lifetime_makes_the_device_say_so():
    """ETS int-102."""
    async with pair() as (_, server):
        assert (await server.write(EP, "/1/0/1", 60)).code == "2.04"
        await server.wait_until(lambda: server.client(EP).lifetime == 60, 60)


@virtual_time
async def test_the_update_trigger_makes_a_plain_update():
    """ETS int-104."""
    async with pair() as (device, server):
        assert (await server.execute(EP, "/1/0/8")).code == "2.04"
        await server.wait_until(lambda: len(server.seen.of("updated")) == 1, 60)
        update = next(
            datagram for datagram in device.wire if datagram.outgoing and datagram.code == "0.02" and datagram.size < 40
        )
        assert update.payload == b""


@virtual_time
async def test_a_forgotten_device_registers_again():
    """ETS int-105."""
    async with pair() as (device, server):
        server.registry.remove(server.client(EP))
        assert (await device.update()).code == "4.04"
        await server.wait_registered(EP, 60)


@virtual_time
async def test_deregister_ends_the_registration():
    async with pair() as (device, server):
        assert (await device.deregister()).code == "2.02"
        with pytest.raises(NotRegistered):
            await server.read(EP, "/3/0/9")
        await asyncio.sleep(1000)
        assert not server.clients  # it stays away


@virtual_time
async def test_disable_leaves_and_comes_back():
    """ETS int-103."""
    async with pair() as (_, server):
        await server.write(EP, "/1/0/5", 600)
        assert (await server.execute(EP, "/1/0/4")).code == "2.04"
        await server.wait_until(lambda: not server.clients, 60)
        await asyncio.sleep(590)
        assert not server.clients
        await server.wait_registered(EP, 60)


@pytest.mark.parametrize(("path", "utc_offset"), [("/3/0/4", "+05:00"), ("/3/0/5", "+00:00")])
@virtual_time
async def test_reboot_keeps_values_and_factory_reset_loses_them(path, utc_offset):
    """ETS int-241."""
    async with pair() as (device, server):
        port = device.address
        await server.write(EP, "/3/0/14", "+05:00")
        location = server.client(EP).location
        assert (await server.execute(EP, path)).code == "2.04"
        await server.wait_until(lambda: bool(server.clients) and server.client(EP).location != location, 60)
        assert (await server.read(EP, "/3/0/14")).value == utc_offset
        assert device.address == port


@virtual_time
async def test_a_crash_that_keeps_state_is_followed_by_an_update_from_the_same_port():
    async with pair() as (device, server):
        location, port = server.client(EP).location, device.address
        await device.crash()
        with pytest.raises(NotAcknowledged):
            await server.read(EP, "/3/0/9")
        await device.restart()
        await server.wait_until(lambda: len(server.seen.of("updated")) == 1, 60)
        assert (server.client(EP).location, device.address) == (location, port)


@virtual_time
async def test_a_crash_that_loses_state_is_followed_by_a_register():
    async with pair() as (device, server):
        await device.restart(lose_state=True)
        await server.wait_until(lambda: len(server.seen.of("registered")) == 2, 60)


@virtual_time
async def test_registering_is_tried_again_with_doubling_pauses():
    """Core TS 1.1 §6.2.1.1: five attempts, then a long pause."""
    async with served() as server:
        await server.stop()
        quick = Tuning(ack_timeout=1.0, ack_random_factor=1.0, max_retransmit=0)
        device = Device(DeviceOptions(EP, uri(server), tuning=quick, retry_timer=60.0, sequence_delay=1000.0))
        await device.start()
        await asyncio.sleep(1 + 61 + 121 + 241 + 481 + 900)
        attempts = [datagram.time for datagram in device.wire]
        await server.start()
        await server.wait_registered(EP, 2000)
        await device.stop()
        pauses = [round(later - earlier) for earlier, later in itertools.pairwise(attempts)]
        assert pauses == [61, 121, 241, 481]


@virtual_time
async def test_the_server_comes_back_on_the_same_port_without_its_registrations():
    async with pair() as (device, server):
        address = server.address
        await server.stop()
        await server.start()
        assert server.address == address
        assert not server.clients
        assert (await device.update()).code == "4.04"
        await server.wait_registered(EP, 60)


@virtual_time
async def test_a_server_that_keeps_its_registrations_can_go_on():
    async with pair() as (_, server):
        await server.stop(forget=False)
        await server.start()
        assert (await server.read(EP, "/3/0/9")).value == 100


@virtual_time
async def test_send_is_attributed_by_source_address():
    async with pair() as (device, server):
        assert (await device.send(["/3303/0/5700", "/3/0/9"], timestamp=1700000000.0)).code == "2.04"
        endpoint, records = server.sends[0]
        assert endpoint == EP
        assert [(record.path, record.value, record.time) for record in records] == [
            ((3303, 0, 5700), 20.0, 1700000000.0),
            ((3, 0, 9), 100, 1700000000.0),
        ]
        server.registry.by_address.clear()
        assert (await device.send(["/3/0/9"])).code == "4.00"


@virtual_time
async def test_an_update_moves_the_registration_to_its_address():
    async with pair() as (device, server):
        client = server.client(EP)
        server.registry.by_address.clear()
        client.address = ("127.0.0.1", 9)
        assert (await device.update()).code == "2.04"
        assert client.address == device.address
        assert (await device.send(["/3/0/9"])).code == "2.04"


@virtual_time
async def test_a_muted_device_is_not_heard_and_hears_nothing():
    async with pair() as (device, server):
        device.muted = True
        with pytest.raises(NoAnswer):
            await server.read(EP, "/3/0/9", wait=10)
        device.muted = False
        assert device.operations.times("Read") == 0
        assert (await server.read(EP, "/3/0/9")).code == "2.05"


@virtual_time
async def test_three_hundred_devices_register_and_are_read():
    async with served() as server:
        devices = [Device(DeviceOptions(f"many-{number}", uri(server))) for number in range(300)]
        for device in devices:
            await device.start()
        await server.wait_until(lambda: len(server.clients) == 300, 300)
        results = await asyncio.gather(*(server.read(f"many-{number}", "/3/0/2") for number in range(300)))
        assert [result.value for result in results] == [f"many-{number}" for number in range(300)]
        assert len({client.address for client in server.clients}) == 300
        for device in devices:
            await device.stop()
