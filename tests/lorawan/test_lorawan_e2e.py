"""LwM2M server, bridge, ChirpStack and LoRaWAN devices as processes: gRPC, HTTP and radio frames are real.

All stories share a set-up; each has a device of its own kind in it, or joins one.
"""

import asyncio
import json

import pytest
from lorawan_kit import APP_KEY, device, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _rows(world, name="meter"):
    """Return state and attempts of the server's requests to an endpoint, oldest first."""
    rows = await world.downlinks(name)
    return [(row["state"], row["attempts"]) for row in reversed(rows) if row["kind"] == "request"]


@pytest.mark.requirement("LightweightM2 M-LPW-10", "LightweightM2M-LPW-2")
async def test_a_lorawan_device_registers_is_read_and_written(world):
    client = await world.client()
    assert client["address"].startswith("127.64.")
    before = len(await _rows(world))
    read = await world.asked("read", "/3/0/0")
    assert read["values"] == {"/3/0/0": "LwM2M Non-IP bridge"}
    written = await world.asked("write", "/3/0/14", value="+02:00")
    assert written["code"] == "2.04"
    frames = [frame for frame in await world.air() if frame["payload"]]
    assert {frame["fPort"] for frame in frames} == {10}
    assert [state for state, _ in (await _rows(world))[before:]] == ["RESPONDED"] * 2


async def test_a_join_in_the_middle_of_an_exchange_loses_nothing(world):
    await world.client()
    before = len(await _rows(world))
    waiting = asyncio.create_task(world.ask("read", "/3/0/1"))
    await world.queued()
    joined = (await world.device())["air"]["joined"]
    await world.act("rejoin")

    async def again():
        return (await world.device())["air"]["joined"] > joined

    await until(again, why="no second join")
    answer = await world.polled(waiting)
    assert answer["ok"]
    assert [state for state, _ in (await _rows(world))[before:]] == ["RESPONDED"]


async def test_a_crash_of_the_bridge_between_accept_and_answer_loses_nothing(world):
    await world.client()
    before = len(await world.devices.get("/devices/meter/operations"))
    waiting = asyncio.create_task(world.ask("write", "/3/0/14", value="-05:00"))
    await world.queued()
    await world.bridge.restart()
    answer = await world.polled(waiting)
    assert answer["code"] == "2.04"
    done = await world.devices.get("/devices/meter/operations", since=before)
    assert [one["operation"] for one in done] == ["Write"]


@pytest.mark.requirement("LightweightM2M-LPW-5")
async def test_a_request_that_may_wait_20_s_expires_and_never_goes_over_the_air(world):
    await world.client()
    before = len(await world.air())
    asked = asyncio.create_task(world.ask("read", "/3/0/1", ttl=20))
    await world.queued()
    await world.lab.step(25)
    answer = await asyncio.wait_for(asked, 20)
    assert answer["code"] == "5.04"
    control = await world.asked("read", "/3/0/0")
    assert control["ok"]
    frames = [frame for frame in (await world.air())[before:] if frame["payload"]]
    assert [bytes.fromhex(frame["payload"])[1] for frame in frames] == [1]  # one GET, the later one
    assert [state for state, _ in (await _rows(world))[-2:]] == ["EXPIRED", "RESPONDED"]


@pytest.mark.requirement("LightweightM2 M-LPW-10")
async def test_everything_optional_is_left_out_of_register_and_downlinks_wait_for_the_devices_windows(world):
    client = await world.client("bare", omit=["ep", "lt", "lwm2m", "b", "links"])
    assert client["lifetime"] == 2592000
    before = len(await world.air("bare"))
    waiting = asyncio.create_task(world.ask("read", "/3/0/1", "bare"))
    await world.queued("bare")
    await world.lab.step(30)
    assert not waiting.done()
    assert len(await world.air("bare")) == before  # class A: nothing is sent before the device speaks
    answer = await world.polled(waiting, "bare")
    assert answer["values"] == {"/3/0/1": "Emulated device"}


async def test_an_oversize_write_goes_block_wise_at_a_slow_data_rate(world):
    await world.client("slow", omit=["ep", "lt", "lwm2m", "b", "links"])
    await world.asked("read", "/3/0/1", "slow")  # with its first uplinks room is kept for MAC commands
    text = "".join(chr(97 + number % 26) for number in range(60))
    written = await world.asked("write", "/3303/0/5750", "slow", value=text)
    assert written["code"] == "2.04"
    state = await world.devices.get("/devices/slow/resources/3303/0/5750")
    assert state["value"] == text
    assert max(len(frame["payload"]) // 2 for frame in await world.air("slow")) <= 51


async def test_a_read_with_a_large_answer_comes_in_blocks_that_fit_the_uplink(world):
    await world.client("slow", omit=["ep", "lt", "lwm2m", "b", "links"])
    text = "".join(chr(97 + number % 26) for number in range(100))
    await world.devices.ask("PUT", "/devices/slow/resources/3303/0/5750", {"value": text})
    before, rows = len(await world.heard("slow")), len(await _rows(world, "slow"))
    answer = await world.asked("read", "/3303/0/5750", "slow")
    assert answer["values"] == {"/3303/0/5750": text}
    log = (await world.heard("slow"))[before:]
    sent = [len(one["payload"]) // 2 for one in log if one["what"] == "sent"]
    assert 51 - 16 < max(sent) <= 51
    assert "dropped" not in [one["what"] for one in log]  # without blocks the modem would have had no way to send it
    asked = (await _rows(world, "slow"))[rows:]
    assert len(asked) > 1
    assert {state for state, _ in asked} == {"RESPONDED"}


async def test_a_confirmed_downlink_that_is_nacked_once_goes_again(world):
    await world.client("sure")
    await world.fault("downlink_lost", count=1, where={"confirmed": "true"})
    answer = await world.asked("read", "/3/0/0", "sure")
    assert answer["ok"]
    frames = [frame for frame in await world.air("sure") if frame["confirmed"]]
    assert len(frames) == 2
    assert len({frame["queueItemId"] for frame in frames}) == 2
    assert await _rows(world, "sure") == [("RESPONDED", 2)]


@pytest.mark.requirement("LightweightM2 M-LPW-10")
async def test_a_class_c_device_answers_without_a_poll(world):
    await world.client("listener")
    answer = await world.ask("read", "/3/0/0", "listener")
    assert answer["ok"]


async def test_a_class_c_device_whose_answer_was_lost_is_asked_again_before_a_server_gives_up(world):
    await world.client("listener")
    before, rows = len(await world.air("listener")), len(await _rows(world, "listener"))
    await world.fault("uplink_lost", count=1, where={"dev_eui": world.euis["listener"]})
    answer = await world.ask("read", "/3/0/0", "listener")
    assert answer["ok"]
    first, second = [frame for frame in (await world.air("listener"))[before:] if frame["payload"]]
    assert first["payload"] == second["payload"]
    assert 50 <= second["time"] - first["time"] < 100  # Leshan waits for two minutes
    assert (await _rows(world, "listener"))[rows:] == [("RESPONDED", 2)]


@pytest.mark.requirement("LightweightM2 M-LPW-10")
async def test_a_personalised_device_needs_no_join(world):
    await world.client("personalised")
    answer = await world.asked("read", "/3/0/0", "personalised")
    assert answer["ok"]
    assert (await world.device("personalised"))["air"]["joined"] == 0


@pytest.mark.requirement("LightweightM2 M-LPW-11")
async def test_a_device_made_on_the_command_line_joins_over_the_air_and_registers(world):
    made = "70b3d57ed00000aa"
    arguments = ["device", "add", made.upper(), "second", "--network", "lorawan", "--integration"]
    arguments += ["--app-key", "env:THE_KEY"]
    first = await world.command(*arguments, THE_KEY=APP_KEY)
    assert first[0] == 0, first
    assert APP_KEY not in first[1]
    again = await world.command(*arguments, THE_KEY=APP_KEY)
    assert "the network had everything already" in again[1]
    await world.radio.post("/radio/devices", device(made, app_key=APP_KEY))
    world.euis["second"] = made
    await world.client("second")
    answer = await world.asked("read", "/3/0/0", "second")
    assert answer["ok"]
    doctor = await world.command("doctor", "--json")
    assert doctor[0] == 0, doctor
    found = json.loads(doctor[1])["networks"]["lorawan"]
    assert {"ChirpStack", "event URL", "HTTP integration"} <= {one["what"] for one in found}


async def test_devices_of_the_application_are_adopted_by_rule(world):
    nobody = "70b3d57ed00000ee"
    name = f"urn:dev:eui:{nobody}"
    code, out, err = await world.command("device", "adopt", "--network", "lorawan")
    assert code == 0, err
    assert name in out
    world.euis[name] = nobody
    await world.client(name)


async def test_an_application_asks_a_lorawan_device_without_a_server(world):
    """By the API's own operation: what is too large for a frame goes in blocks, and an answer comes in blocks."""
    await world.client()

    async def send(operation, path, **more):
        asked = {"endpoint": "meter", "operation": operation, "path": path, "wait": 100, **more}
        found = await world.polled(asyncio.create_task(world.bridge.ask("downlink.send", **asked)))
        assert found["over"], found
        return found

    read = await send("read", "/3/0/0", ttl=3600)
    assert read["response"]["values"][0]["value"] == "LwM2M Non-IP bridge"
    long = "Europe/" + "x" * 300
    written = await send("write", "/3/0/15", value=long)
    assert (written["response"]["code"], written["messages"] > 1) == ("2.04", True)
    assert (await send("read", "/3/0/15"))["response"]["values"][0]["value"] == long
