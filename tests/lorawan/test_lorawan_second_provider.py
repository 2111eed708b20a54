"""The binding works over any network server that has the provider interface: here one that is no ChirpStack."""

import pytest
from scripted_provider import ScriptedServer

from bindings.contract import (
    Accepted,
    Cancellation,
    Kind,
    NetworkState,
    Presence,
    Refusal,
    Report,
    Submission,
    UplinkMessage,
)
from bindings.lorawan import LorawanBinding, LorawanSettings
from bindings.lorawan.provider import NewItem
from bindings.lorawan.settings import Api
from tests.bindings.bridge_side import DictMemory
from tests.waiting import until

DEVICE = "70b3d57ed0000001"
GET = b"\x40\x01\x00\x01"


@pytest.fixture
async def server():
    return ScriptedServer()


@pytest.fixture
async def binding(server, side):
    one = LorawanBinding("net", LorawanSettings(api=Api(server="none:1", key="k")), lambda _settings: server)
    await one.start(side, DictMemory())
    await one.provision(DEVICE, {})
    await until(lambda: binding_knows(one))
    yield one
    await one.stop()
    assert server.open_count == 0


def binding_knows(binding):
    record = binding._records.held(DEVICE)
    return record is not None and binding._records.profile(record.profile).known


def attempt(payload=GET, **members):
    return Submission(1, 1, DEVICE, payload, Kind.REQUEST, **members)


async def test_a_request_goes_out_and_its_answer_comes_in(binding, server, side):
    taken = await binding.submit(attempt())
    assert taken == Accepted("i1", NetworkState.BUFFERED)
    await server.transmit(DEVICE, at=side.now())
    await server.hear(server.uplink(DEVICE, b"answer", 0, at=side.now()))
    assert [(one.handle, one.outcome) for one in side.of(Report)] == [("i1", NetworkState.SENT)]
    assert [one.payload for one in side.of(UplinkMessage)] == [b"answer"]
    assert binding.south_profile(DEVICE).max_downlink == 242


async def test_what_was_missed_comes_from_the_history_once(binding, server, side):
    server.past.append(server.uplink(DEVICE, b"missed", 0, at=side.now()))
    for _ in range(2):
        await binding._catch_up.device(DEVICE)
    assert [one.payload for one in side.of(UplinkMessage)] == [b"missed"]


async def test_a_downlink_is_found_and_cancelled(binding, server):
    await server.enqueue(NewItem(DEVICE, 10, GET), passing=False)  # its answer was lost
    found = await binding.lookup(attempt())
    assert found.presence is Presence.PRESENT
    assert await binding.cancel(DEVICE, found.handle) is Cancellation.REMOVED
    assert server.queues == {}


async def test_a_server_that_is_away_refuses_no_message(binding, server):
    server.away = True
    refused = await binding.submit(attempt())
    assert refused.why is Refusal.NETWORK_UNAVAILABLE
    assert not binding.south_profile(DEVICE).network_up


async def test_a_device_is_made_by_whatever_provider_there_is(binding):
    made = await binding.make_device(DEVICE, "", binding.device_settings()(app_key="00" * 16))
    assert (made.scope, made.changes) == ("a", (f"device {DEVICE}",))
