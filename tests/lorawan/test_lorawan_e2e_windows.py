"""A quick server's answer makes the windows of the very uplink; a slow one's goes with the next, within its deadline.

ChirpStack makes a downlink 100 ms after the `up` event, plus what the profile's rx1_delay (3 s) is above its own (1 s):
the bridge and the server together have 2.1 s. The verdict is the device's own log of what it sent and heard.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
from lorawan_kit import LorawanSetUp, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.requirement("LightweightM2 M-LPW-10")]

NAME = "punctual"
BUDGET_RATE = 2.0  # virtual seconds per real one: 2.1 s are then a second, also on a busy machine
EXCHANGE_SPAN = 7250.0  # seconds in which the device waits for its answer: RFC 7252 §4.8.2 with ACK_TIMEOUT 300 s
GATEWAY = "00000000000000a1"


@contextlib.asynccontextmanager
async def _slow_server(world: LorawanSetUp) -> AsyncIterator[None]:
    """Hold the server still until both windows of what the device sends meanwhile are over."""
    server = world.lab.servers["server"].process
    server.signal(signal.SIGSTOP)
    try:
        before = await _taken(world)
        yield

        async def taken() -> bool:
            return await _taken(world) > before

        await until(taken, why="the bridge got nothing of the device")
        await world.lab.step(6.0)
        await asyncio.sleep(0.2)
    finally:
        server.signal(signal.SIGCONT)


async def _taken(world: LorawanSetUp) -> int:
    """Return how many uplinks the bridge has answered with 200."""
    posts = await world.radio.get("/posts", dev_eui=world.euis[NAME])
    return sum(one["kind"] == "up" and one["status"] == 200 for one in posts)


async def _after(world: LorawanSetUp, mid: str) -> list[dict[str, Any]]:
    """Return what the device sent and heard from its message with this MID on."""
    log = [one for one in await world.heard(NAME) if one["what"] in ("sent", "received", "missed")]
    first = next(n for n, one in enumerate(log) if one["what"] == "sent" and one["payload"][4:8] == mid)
    return log[first:]


async def _send(world: LorawanSetUp) -> "asyncio.Task[Any]":
    body = {"paths": ["/3303/0/5700"]}
    return asyncio.create_task(world.devices.post(f"/devices/{NAME}/send", body))


async def _last_mid(world: LorawanSetUp) -> str:
    return [one for one in await world.heard(NAME) if one["what"] == "sent" and one["payload"]][-1]["payload"][4:8]


@pytest.mark.parametrize(("window", "late"), [("RX1", 0.0), ("RX2", 0.9)])
async def test_a_quick_servers_answer_makes_a_window_of_the_very_uplink(world, window, late):
    await world.client(NAME)
    before = world.rate
    await world.faster(BUDGET_RATE)
    await world.radio.post(f"/radio/gateways/{GATEWAY}/faults", {"late": late})  # then RX1 is over before the frame is
    try:
        sending = await _send(world)
        answer = await asyncio.wait_for(sending, 10)
    finally:
        await world.radio.post(f"/radio/gateways/{GATEWAY}/faults", {"late": 0.0})
        await world.faster(before)
    assert answer["code"] == "2.04"
    mid = await _last_mid(world)
    uplink, downlink = (await _after(world, mid))[:2]
    assert downlink["what"] == "received"  # and nothing was sent in between
    assert (downlink["window"], downlink["payload"][4:8]) == (window, mid)
    assert downlink["time"] - uplink["time"] < 5.5


async def test_a_slow_servers_answer_goes_in_the_next_window_with_the_deadline_of_the_devices_exchange(world):
    await world.client(NAME)
    async with _slow_server(world):
        sending = await _send(world)
    mid = await _last_mid(world)
    (item,) = await world.queued(NAME)
    uplink = (await _after(world, mid))[0]
    assert item["data"][4:8] == mid
    assert item["expiresAt"] - uplink["time"] == pytest.approx(EXCHANGE_SPAN, abs=5.0)
    assert [one["what"] for one in await _after(world, mid)] == ["sent"]
    await world.act("poll", NAME)
    answer = await asyncio.wait_for(sending, 20)
    assert answer["code"] == "2.04"
    _, poll, downlink = (await _after(world, mid))[:3]
    assert (poll["what"], poll["payload"]) == ("sent", "")
    assert (downlink["window"], downlink["payload"][4:8]) == ("RX1", mid)


async def test_an_answer_whose_deadline_passes_before_the_next_window_is_never_sent(world):
    await world.client(NAME)
    mid = "7a7a"
    async with _slow_server(world):
        await world.act(
            "send", NAME, payload=f"4402{mid}01020304b26470ff5b5d"
        )  # POST /dp, of a device that then sleeps
    (item,) = await world.queued(NAME)
    assert item["data"][4:8] == mid
    await world.lab.step(EXCHANGE_SPAN + 5.0)

    async def expired() -> bool:
        answers = [row for row in await world.downlinks(NAME) if row["kind"] == "answer"]
        return answers[0]["state"] == "EXPIRED"

    await until(expired, why="the answer has no outcome")
    await world.act("poll", NAME)
    await world.settled()
    sent, *rest = await _after(world, mid)
    assert sent["payload"][4:8] == mid
    assert "sent" in [one["what"] for one in rest]  # the device opened its windows
    assert mid not in [one["payload"][4:8] for one in rest]
    assert mid not in [frame["payload"][4:8] for frame in await world.air(NAME)]
