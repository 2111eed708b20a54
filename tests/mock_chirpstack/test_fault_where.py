"""Whatever `where` of a fault may name tells its occasions apart; what it never has is refused."""

import asyncio
import random
from types import SimpleNamespace

import pytest
from chirpstack_api import api
from mock_chirpstack_kit import DEV_EUI, TOKEN, World

from mock_network.chirpstack.faults import KINDS, WHERE, make_faults
from mock_network.chirpstack.guard import Guard
from mock_network.chirpstack.integrations import Integrations
from mock_network.faults import Fault, FaultError

RIGHT = {"dev_eui": DEV_EUI, "confirmed": "true", "event": "up", "via": "http", "method": "Enqueue"}
WRONG = {"dev_eui": "ff" * 8, "confirmed": "neither", "event": "join", "via": "mqtt", "method": "GetQueue"}
CASES = [(kind, member) for kind in sorted(KINDS) for member in sorted(WHERE[kind])]


def radio(kind: str, fault: Fault) -> int:
    """A device with a confirmed downlink says something, and acknowledges what it got; a command comes by MQTT."""
    world = World()
    world.join()
    world.server.context.faults.add(fault)
    world.enqueue(confirmed=True)
    world.command()
    world.up(b"x", 10)
    world.up(b"x", 10, ack=True)
    return world.server.context.faults.happened[kind]


def events(kind: str, fault: Fault) -> int:
    """An event goes out over HTTP."""
    faults = make_faults(1, [fault])
    sink = SimpleNamespace(via="http", publish=lambda _event: None)
    Integrations([sink], faults).publish(SimpleNamespace(dev_eui=DEV_EUI, kind="up"))
    return faults.happened[kind]


def calls(kind: str, fault: Fault) -> int:
    """The API is called about a device: by its DevEUI, or with a row of it."""
    faults = make_faults(1, [fault])
    guard = Guard(TOKEN, faults, sleep=lambda _seconds: asyncio.sleep(0))
    for request in (
        api.GetDeviceRequest(dev_eui=DEV_EUI.upper()),
        api.EnqueueDeviceQueueItemRequest(queue_item=api.DeviceQueueItem(dev_eui=DEV_EUI)),
        api.CreateDeviceRequest(device=api.Device(dev_eui=DEV_EUI)),
        api.ActivateDeviceRequest(device_activation=api.DeviceActivation(dev_eui=DEV_EUI)),
        api.CreateDeviceKeysRequest(device_keys=api.DeviceKeys(dev_eui=DEV_EUI)),
    ):
        guard._taken(kind, "Enqueue", request)
    return faults.happened[kind]


def happened(kind: str, where: dict[str, str]) -> int:
    play = calls if kind.startswith("grpc_") else events if kind.startswith("event_") else radio
    return play(kind, Fault(kind, where=where))


@pytest.mark.parametrize(("kind", "member"), CASES)
def test_a_fault_happens_where_it_says_and_nowhere_else(kind, member):
    assert 0 < happened(kind, {member: RIGHT[member]}) <= happened(kind, {})
    assert happened(kind, {member: WRONG[member]}) == 0


def test_a_join_request_can_be_lost_too():
    world = World()
    world.server.context.faults.add(Fault("uplink_lost", count=1, where={"dev_eui": DEV_EUI}))
    world.hear(world.node.join_request())
    world.run(1)
    assert world.frames == []
    world.join()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_where_that_an_occasion_never_has_is_refused(kind):
    with pytest.raises(FaultError, match=r"knows no gateway; where may name .*dev_eui"):
        make_faults(random.randrange(9)).add(Fault(kind, where={"gateway": "1"}))
