"""A trigger by SMS: device triggering of an emulated SCEF, the SMS port of the modem, the device, its server."""

import asyncio
import base64
import json

import aiohttp
import pytest
from aiocoap import NON, POST
from aiocoap.message import Message

from mock_network.device.device import Device
from mock_network.device.options import BearerOptions, DeviceOptions
from mock_network.lwm2m_server.server import LwM2mServer
from mock_network.scef.testing import EmulatedScef

UE = "meter-1@iot.example"
EP = "urn:dev:os:meter-1"


def short_message(*path):
    message = Message(code=POST, uri_path=path)
    message.mtype, message.mid, message.token = NON, 7, b""
    return message.encode()


@pytest.fixture
def scef():
    with EmulatedScef("--listen", "127.0.0.1:0", ues=[f"{UE}:0:0"]) as scef:
        yield scef


async def test_a_device_that_was_never_heard_over_sms_is_triggered_to_update(scef):
    server = LwM2mServer()
    host, port = await server.start(("127.0.0.1", 0))
    modem = BearerOptions("S", pipe=tuple(scef.ready["sms"][UE]))
    device = Device(DeviceOptions(EP, f"coap://{host}:{port}", more_bearers=(modem,)))
    await device.start()
    try:
        await server.wait_registered(EP, 10)
        trigger = {
            "externalId": UE,
            "validityPeriod": 600,
            "priority": "NO_PRIORITY",
            "applicationPortId": 5683,
            "triggerPayload": base64.b64encode(short_message("1", "0", "8")).decode(),
            "notificationDestination": "http://127.0.0.1:1/nobody",
        }
        headers = {"Authorization": f"Bearer {scef.token}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            url = f"{scef.url}/3gpp-device-triggering/v1/as1/transactions"
            async with session.post(url, json=trigger) as response:
                assert response.status == 201, await response.text()
        await server.wait_until(lambda: len(server.seen.of("updated")) == 1, 10)
        assert device.operations.times("Execute", "/1/0/8") == 1
        async with aiohttp.ClientSession() as session, session.get(f"{scef.control}/air-log") as response:
            kinds = [entry["what"] for entry in json.loads(await response.text())]
        assert "mo-sms" not in kinds  # neither an answer, nor what let the modem know where the device is
    finally:
        await device.stop()
        await server.stop()
        await asyncio.sleep(0)
