"""What goes wrong around a LoRaWAN device: a counter and a word of it, nothing lost, one outcome for every downlink."""

import asyncio
import contextlib

import pytest
from lorawan_kit import APP_KEY, device, until

from mock_network.lab import ApiError

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAME = "victim"
STRANGER = "70b3d57ed00000ef"  # in ChirpStack's application, and in no endpoint


async def _states(world):
    """Return the states of the server's requests, newest first."""
    return [row["state"] for row in await world.downlinks(NAME) if row["kind"] == "request"]


async def _lives(world):
    """The proof that the service lives: a device is read."""
    answer = await world.asked("read", "/3/0/1", NAME)
    assert answer["values"] == {"/3/0/1": "Emulated device"}


@pytest.mark.parametrize("kind", ["grpc_unavailable", "grpc_unavailable_after", "grpc_deadline", "grpc_deadline_after"])
async def test_r9_an_enqueue_without_an_answer_leaves_one_write_with_one_outcome(world, kind):
    await world.client(NAME)
    done = len(await world.devices.get(f"/devices/{NAME}/operations"))
    errors, rows = await world.count("lorawan_submit_errors"), len(await _states(world))
    await world.fault(kind, count=1, where={"method": "Enqueue"})
    answer = await world.asked("write", "/3/0/14", NAME, value="+03:00")
    assert answer["code"] == "2.04"
    await world.settled()
    operations = await world.devices.get(f"/devices/{NAME}/operations", since=done)
    assert [one["operation"] for one in operations] == ["Write"]
    assert (await _states(world))[: -rows or None] == ["RESPONDED"]
    assert await world.count("lorawan_submit_errors") == errors + 1
    assert "not submitted" in world.said()


async def test_an_unknown_dev_eui_is_counted_and_named(world):
    await world.client(NAME)
    with contextlib.suppress(ApiError):  # another story may have adopted it
        await world.bridge.ask("endpoint.remove", name=f"urn:dev:eui:{STRANGER}")
    before = await world.count("unknown_devices")
    await world.radio.post(f"/radio/devices/{STRANGER}/send", {"payload": "40010001"})

    async def counted():
        return await world.count("unknown_devices") > before

    await until(counted, why="the stranger was not counted")
    assert STRANGER in world.said()
    await _lives(world)


async def test_a_data_rate_that_drops_while_the_network_holds_a_write_costs_it_nothing(world):
    """ChirpStack deletes what no longer fits; the server is told to go block-wise, and does."""
    await world.client(NAME)
    await _lives(world)  # with its first uplinks room is kept for MAC commands
    await world.settled()
    text = "".join(chr(97 + number % 26) for number in range(60))
    writing = asyncio.create_task(world.ask("write", "/3303/0/5750", NAME, value=text))
    (item,) = await world.queued(NAME)
    assert len(item["data"]) // 2 > 60
    before = await world.count("lorawan_log_events", code="DOWNLINK_PAYLOAD_SIZE")
    await world.windows_over()
    await world.act("data-rate", NAME, data_rate=2)
    try:
        answer = await world.polled(writing, NAME)
    finally:
        await world.act("data-rate", NAME, data_rate=5)
    assert answer["code"] == "2.04"
    assert (await world.devices.get(f"/devices/{NAME}/resources/3303/0/5750"))["value"] == text
    assert await world.count("lorawan_log_events", code="DOWNLINK_PAYLOAD_SIZE") == before + 1
    assert "TOO_LARGE" in await _states(world)
    assert set(await _states(world)) <= {"RESPONDED", "TOO_LARGE"}
    await _lives(world)


async def test_a_device_that_lost_its_counters_is_heard_again_once_it_has_joined(world):
    await world.client(NAME)
    before = await world.count("lorawan_log_events", code="UPLINK_F_CNT_RESET")
    reading = asyncio.create_task(world.ask("read", "/3/0/0", NAME))
    await world.queued(NAME)
    await world.act("reset", NAME)
    await world.act("poll", NAME)  # refused by ChirpStack: an old counter might be a replay

    async def told():
        return await world.count("lorawan_log_events", code="UPLINK_F_CNT_RESET") > before

    await until(told, why="the reset was not told")
    assert not reading.done()
    await world.act("rejoin", NAME)
    answer = await world.polled(reading, NAME)
    assert answer["ok"]
    assert (await _states(world))[0] == "RESPONDED"


async def test_a_join_request_with_a_wrong_mic_is_counted_and_costs_others_nothing(world):
    await world.client(NAME)
    impostor = "70b3d57ed00000bb"
    arguments = ["device", "add", impostor, "impostor", "--network", "lorawan", "--app-key", "env:THE_KEY"]
    code, out, err = await world.command(*arguments, THE_KEY=APP_KEY)
    assert code == 0, out + err
    before = await world.count("lorawan_log_events", code="UPLINK_MIC")
    await world.radio.post("/radio/devices", device(impostor, app_key=APP_KEY[::-1]))

    async def counted():
        return await world.count("lorawan_log_events", code="UPLINK_MIC") > before

    await until(counted, why="the wrong MIC was not counted")
    await world.radio.ask("DELETE", f"/radio/devices/{impostor}")
    await _lives(world)


async def test_r13_a_send_that_the_device_repeats_since_it_heard_no_answer_reaches_the_server_once(world):
    await world.client(NAME)
    before = len(await world.server.get("/seen", kind="send", endpoint=NAME))
    await world.fault("downlink_lost", count=1, where={"dev_eui": world.euis[NAME]})
    sending = asyncio.create_task(world.devices.post(f"/devices/{NAME}/send", {"paths": ["/3303/0/5700"]}))

    async def unheard():
        return not (await world.radio.get("/faults"))["armed"]

    await until(unheard, why="no answer was lost")
    for _ in range(25):  # ACK_TIMEOUT is 300 s, and up to half of it more
        if sending.done():
            break
        await world.lab.step(20.0)
        await asyncio.sleep(0.1)
    answer = await world.polled(sending, NAME)
    assert answer["code"] == "2.04"
    assert len(await world.server.get("/seen", kind="send", endpoint=NAME)) == before + 1
    sends = [one["payload"] for one in await world.heard(NAME) if one["what"] == "sent" and len(one["payload"]) > 8]
    assert sends[-1] == sends[-2]  # the device did repeat it
