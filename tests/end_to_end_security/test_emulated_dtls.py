"""DTLS between the emulated device and the emulated server, through the bridge, over NIDD."""

from pathlib import Path

import pytest

from mock_network.lab import free_port
from tests.e2e.kit import set_up

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]

KEY = {"identity": "identity-1", "key": bytes(range(16)).hex()}


async def test_an_emulated_device_is_managed_over_a_session_of_its_own_and_a_kill_of_the_bridge(tmp_path: Path):
    async with set_up(tmp_path, north=f"port = {free_port()}", server_lines="secure_port = 1") as world:
        port = world.lab.servers["lab"].ready["coap"].rpartition(":")[2]
        configuration = tmp_path / "bridge.toml"
        configuration.write_text(configuration.read_text().replace("secure_port = 1", f"secure_port = {port}"))
        await world.bridge.restart()
        await world.server().ask("PUT", "/psk/own-session", KEY)
        await world.add_device("own-session", endpoint={}, device={"psk": KEY})
        assert (await world.ask("own-session", "read", "/3/0/14"))["values"] == {"/3/0/14": "+00:00"}
        await world.bridge.restart()
        await world.configured("own-session")
        assert (await world.ask("own-session", "write", "/3/0/14", value="+13:37"))["code"] == "2.04"
        passed = [
            bytes.fromhex(one["data"]) for way in ("uplink", "downlink") for one in await world.air("own-session", way)
        ]
        assert passed
        assert all(20 <= data[0] <= 63 for data in passed)
        assert not any(b"+13:37" in data for data in passed)
