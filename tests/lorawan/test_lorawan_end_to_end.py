"""LwM2M server, bridge, ChirpStack and LoRaWAN devices as processes: gRPC, HTTP and radio frames are real."""

import pytest
from lorawan_kit import lorawan_set_up


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
