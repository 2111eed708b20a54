"""LwM2M server, bridge, ChirpStack and LoRaWAN devices as processes: gRPC, HTTP and radio frames are real."""

import asyncio
import json

import pytest
from lorawan_kit import APP_KEY, DEV_EUI, NAME, device, lorawan_set_up, until


@pytest.mark.requirement("LightweightM2 M-LPW-10", "LightweightM2M-LPW-2")
async def test_a_lorawan_device_registers_is_read_and_written(tmp_path):
    async with lorawan_set_up(tmp_path) as world:
        await world.start_client()
        client = await world.registered()
        assert client["address"].startswith("127.64.")
        read = await world.asked("read", "/3/0/0")
        assert read["values"] == {"/3/0/0": "LwM2M Non-IP bridge"}
        written = await world.asked("write", "/3/0/14", value="+02:00")
        assert written["code"] == "2.04"
        frames = [frame for frame in await world.air() if frame["payload"]]
        assert {frame["fPort"] for frame in frames} == {10}
        states = [row["state"] for row in await world.downlinks() if row["kind"] == "request"]
        assert states == ["RESPONDED", "RESPONDED"]


@pytest.mark.requirement("LightweightM2 M-LPW-10")
async def test_everything_optional_is_left_out_of_register_and_downlinks_wait_for_the_devices_windows(tmp_path):
    endpoint = {
        "name": NAME,
        "network": "lorawan",
        "address": "70-B3-D5-7E-D0-00-00-01",
        "object_list": "</1/0>,</3/0>,</3303/0>",
    }
    async with lorawan_set_up(tmp_path, endpoints=[endpoint]) as world:
        await world.start_client(omit=["ep", "lt", "lwm2m", "b"])
        client = await world.registered()
        assert client["lifetime"] == 2592000
        before = len(await world.air())
        waiting = asyncio.create_task(world.ask("read", "/3/0/1"))
        await world.queued()
        await world.lab.step(30)
        assert not waiting.done()
        assert len(await world.air()) == before  # class A: nothing is sent before the device speaks
        answer = await world.polled(waiting)
        assert answer["values"] == {"/3/0/1": "Emulated device"}


async def test_an_oversize_write_goes_block_wise_at_a_slow_data_rate(tmp_path):
    endpoint = {"name": NAME, "network": "lorawan", "address": DEV_EUI, "object_list": "</1/0>,</3/0>,</3303/0>"}
    async with lorawan_set_up(
        tmp_path, devices=[device(data_rate=0, adr=False)], endpoints=[endpoint], rate=12.0
    ) as world:
        await world.start_client(omit=["ep", "lt", "lwm2m", "b", "links"])
        await world.registered()
        text = "".join(chr(97 + number % 26) for number in range(60))
        written = await world.asked("write", "/3303/0/5750", value=text)
        assert written["code"] == "2.04"
        state = await world.devices.get(f"/devices/{NAME}/resources/3303/0/5750")
        assert state["value"] == text
        assert max(len(frame["payload"]) // 2 for frame in await world.air()) <= 51


async def test_a_confirmed_downlink_that_is_nacked_once_goes_again(tmp_path):
    endpoint = {"name": NAME, "network": "lorawan", "address": DEV_EUI, "confirmed": True}
    async with lorawan_set_up(tmp_path, endpoints=[endpoint]) as world:
        await world.start_client()
        await world.registered()
        await world.fault("downlink_lost", count=1, where={"confirmed": "true"})
        answer = await world.asked("read", "/3/0/0")
        assert answer["ok"]
        frames = [frame for frame in await world.air() if frame["confirmed"]]
        assert len(frames) == 2
        assert len({frame["queueItemId"] for frame in frames}) == 2
        rows = [row for row in await world.downlinks() if row["kind"] == "request"]
        assert [(row["state"], row["attempts"]) for row in rows] == [("RESPONDED", 2)]


async def test_a_join_in_the_middle_of_an_exchange_loses_nothing(tmp_path):
    async with lorawan_set_up(tmp_path) as world:
        await world.start_client()
        await world.registered()
        waiting = asyncio.create_task(world.ask("read", "/3/0/0"))
        await world.queued()
        await world.radio.post(f"/radio/devices/{DEV_EUI}/rejoin")

        async def emptied():
            return (await world.radio.get("/state"))["counters"].get("event_join", 0) >= 2

        await until(emptied, why="no second join")
        answer = await world.polled(waiting)
        assert answer["ok"]
        rows = [row for row in await world.downlinks() if row["kind"] == "request"]
        assert [row["state"] for row in rows] == ["RESPONDED"]


async def test_a_crash_of_the_bridge_between_accept_and_answer_loses_nothing(tmp_path):
    async with lorawan_set_up(tmp_path) as world:
        await world.start_client()
        await world.registered()
        waiting = asyncio.create_task(world.ask("write", "/3/0/14", value="-05:00"))
        await world.queued()
        await world.lab.bridge.restart()
        answer = await world.polled(waiting)
        assert answer["code"] == "2.04"
        done = await world.devices.get(f"/devices/{NAME}/operations")
        assert [one["operation"] for one in done] == ["Write"]


@pytest.mark.requirement("LightweightM2 M-LPW-10")
async def test_a_class_c_device_answers_without_a_poll(tmp_path):
    async with lorawan_set_up(tmp_path, devices=[device(device_class="C")], profile={"class_c_timeout": 10}) as world:
        await world.start_client()
        await world.registered()
        answer = await world.ask("read", "/3/0/0")
        assert answer["ok"]


@pytest.mark.requirement("LightweightM2 M-LPW-11")
async def test_a_device_made_on_the_command_line_joins_over_the_air_and_registers(tmp_path):
    made = "70b3d57ed00000aa"
    async with lorawan_set_up(tmp_path) as world:
        arguments = ["device", "add", made.upper(), "second", "--network", "lorawan", "--integration"]
        arguments += ["--app-key", "env:THE_KEY"]
        first = await world.command(*arguments, THE_KEY=APP_KEY)
        assert first[0] == 0, first
        assert APP_KEY not in first[1]
        again = await world.command(*arguments, THE_KEY=APP_KEY)
        assert "everything was there already" in again[1]
        await world.radio.post("/radio/devices", device(made))
        state = await world.radio.get(f"/radio/devices/{made}")
        host, port = state["modem"].rsplit(":", 1) if isinstance(state["modem"], str) else state["modem"]
        body = {"endpoint": "second", "connect": f"coap://{host}:{port}", "lifetime": 2592000}
        await world.devices.post("/devices", body)
        await world.registered("second", made)
        answer = await world.asked("read", "/3/0/0", "second", made)
        assert answer["ok"]
        doctor = await world.command("doctor", "--json")
        assert doctor[0] == 0, doctor
        found = json.loads(doctor[1])["lorawan"]
        assert {"ChirpStack", "event URL", "HTTP integration"} <= {one["what"] for one in found}


async def test_devices_of_the_application_are_adopted_by_rule(tmp_path):
    async with lorawan_set_up(
        tmp_path, devices=[device(), device("70b3d57ed0000002")], lines='name_template = "urn:dev:eui:{device}"'
    ) as world:
        code, out, err = await world.command("device", "adopt", "--network", "lorawan")
        assert code == 0, err
        assert "urn:dev:eui:70b3d57ed0000002" in out
        await world.start_client("urn:dev:eui:70b3d57ed0000002", "70b3d57ed0000002")
        await world.registered("urn:dev:eui:70b3d57ed0000002", "70b3d57ed0000002")


@pytest.mark.requirement("LightweightM2 M-LPW-10")
async def test_the_same_over_mqtt(tmp_path, broker):
    async with lorawan_set_up(tmp_path / "lab", mqtt=broker.address) as world:
        await world.start_client()
        await world.registered()
        answer = await world.asked("read", "/3/0/0")
        assert answer["ok"]


@pytest.mark.requirement("LightweightM2M-LPW-5")
async def test_a_request_that_may_wait_20_s_expires_and_never_goes_over_the_air(tmp_path):
    async with lorawan_set_up(tmp_path) as world:
        await world.start_client()
        await world.registered()
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
        states = [row["state"] for row in await world.downlinks() if row["kind"] == "request"]
        assert sorted(states) == ["EXPIRED", "RESPONDED"]


@pytest.mark.requirement("LightweightM2 M-LPW-10")
async def test_a_personalised_device_needs_no_join(tmp_path):
    session = {"dev_addr": "01020304", "nwk_s_key": APP_KEY, "app_s_key": APP_KEY[::-1]}
    described = {"dev_eui": DEV_EUI, "duty_cycle": False, **session}
    async with lorawan_set_up(tmp_path, devices=[described]) as world:
        await world.start_client()
        await world.registered()
        answer = await world.asked("read", "/3/0/0")
        assert answer["ok"]
        assert (await world.radio.get("/state"))["counters"].get("event_join", 0) == 0
