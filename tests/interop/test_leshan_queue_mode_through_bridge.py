"""What a real Leshan believes of a device in queue mode, and what the bridge says it believes: awake, asleep, awake."""

import json
from pathlib import Path

import pytest

from tests.e2e.kit import run_command
from tests.interop.leshan_server import Leshan
from tests.interop.raw_device import CON, CONTENT_FORMAT, EMPTY, OBJECT_LINKS, POST, RST, Message, uri
from tests.interop.test_leshan_through_bridge import CONFIG, TEXT, NiddDevice, running

NAME = "sleeps-behind-the-bridge"
QUEUED = 'profile = "leshan"\nqueue_mode = "keep"\nannounce_awake = true\npatience = 3.0\nmargin = 1.0'
WINDOW = 93  # seconds, Leshan's StaticClientAwakeTimeProvider

pytestmark = pytest.mark.timeout(120)


async def believed(directory: Path) -> tuple[bool, float]:
    """Return whether the server takes the device for awake, as the bridge says, and for how long after its Update."""
    ended = await run_command(directory, "endpoint", "show", NAME, "--json")
    shown = json.loads(ended.out)
    (registration,) = shown["registrations"]
    return registration["awake_until"] > shown["time"], registration["awake_until"] - registration["renewed_at"]


async def test_leshan_and_the_bridge_agree_when_a_device_is_awake(leshan: Leshan, tmp_path: Path):
    config = CONFIG.replace('profile = "leshan"', QUEUED)
    async with running(leshan, tmp_path, NAME, config) as (device, _):
        await _story(leshan, device, tmp_path)


async def _story(leshan: Leshan, device: NiddDevice, directory: Path) -> None:
    await device.connected()
    options = (*uri("/rd", f"ep={NAME}&lt=300&b=U&Q"), (CONTENT_FORMAT, b"\x28"))
    await device.uplink(Message(CON, POST, 1, b"\x01", options, OBJECT_LINKS.encode()))
    assert (await device.downlink()).dotted() == "2.01"
    await leshan.event("awake", NAME)
    assert await believed(directory) == (True, pytest.approx(WINDOW, abs=1))

    # The device does not answer: a 5.04 would make it awake again, so the bridge is silent.
    lost = await leshan.start("read", NAME, "/3/0/0", timeout=4)
    await device.downlink()
    assert (await leshan.result(lost))["error"] == "TimeoutException"
    await leshan.event("sleeping", NAME)
    assert not (await believed(directory))[0]
    assert (await leshan.read(NAME, "/3/0/0"))["error"] == "ClientSleepingException"

    # The device is heard, with a message that says nothing to the server: the bridge says it.
    await device.uplink(Message(CON, EMPTY, 9))
    assert (await device.downlink()).type == RST
    await leshan.event("updated", NAME)
    await leshan.event("awake", NAME)
    assert (await believed(directory))[0]
    asked = await leshan.start("read", NAME, "/3/0/1", format="TEXT")
    request = await device.downlink()
    assert (request.path(), request.type) == ("/3/0/1", CON)
    await device.answer(request, "2.05", b"Meter", TEXT)
    assert (await leshan.result(asked))["values"] == {"/3/0/1": "Meter"}
