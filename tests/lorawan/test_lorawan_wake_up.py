"""A LoRaWAN device of class A that has a modem for SMS, too: what waits for it in ChirpStack wakes it up by SMS."""

import asyncio

import pytest
import pytest_asyncio
from lorawan_kit import NAME, lorawan_set_up

from mock_network.lab import SCS_AS, TOKEN, free_port
from tests.interop.raw_device import decode

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

NON = 1


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory):
    async def sms(lab):
        await lab.start_scef([{"name": NAME, "external_id": f"{NAME}@iot", "sms_udp_port": 0}])
        return (
            f'[networks.sms]\nbinding = "sms"\napi_root = "{lab.scef_ready["scef"]}"\nscs_as_id = "{SCS_AS}"\n'
            f'credentials = {{ kind = "bearer", token = "{TOKEN}" }}\ncallbacks = {{ port = {free_port()} }}\n'
        )

    async with lorawan_set_up(tmp_path_factory.mktemp("waking"), also=sms) as found:
        texts = {"name": f"{NAME}-sms", "network": "sms", "address": f"{NAME}@iot", "servers": ["lab"]}
        await found.bridge.ask("endpoint.add", endpoints=[texts])
        options = {"wake_endpoint": f"{NAME}-sms", "wake_accepts": "true"}
        await found.bridge.ask("endpoint.update", endpoint=NAME, options=options)
        pipe = found.lab.sms_modem(NAME).removeprefix("coap://")
        await found.client(bearers=[f"binding=S,pipe={pipe}"])
        yield found


async def air(world, what):
    return list(await world.lab.scef.get("/air-log", ue=NAME, what=what))


async def test_a_request_in_chirpstacks_queue_wakes_its_device_up_and_is_answered(world):
    """Nobody lets the device poll: it opens its windows because it updates its registration."""
    asked = asyncio.create_task(world.ask("read", "/3/0/0"))
    await world.queued()
    assert not await air(world, "sms")
    answer = await asyncio.wait_for(asked, 40)
    assert answer["code"] == "2.05"
    (message,) = [decode(bytes.fromhex(one["data"])) for one in await air(world, "sms")]
    assert (message.path(), message.type, message.token) == ("/1/0/8", NON, b"")
    assert not await air(world, "mo-sms")  # a trigger is not answered
    rows = await world.downlinks(f"{NAME}-sms")
    assert [(row["kind"], row["state"]) for row in rows] == [("trigger", "DELIVERED")]


async def test_a_trigger_that_the_server_asks_for_is_the_only_one(world):
    await world.settled()
    before = len(await air(world, "sms"))
    asked = asyncio.create_task(world.ask("execute", "/1/0/8"))
    await world.queued()
    await world.lab.step(120)
    await asyncio.sleep(0.3)
    assert len(await air(world, "sms")) == before
    assert (await world.polled(asked))["ok"]
