"""The command as a process, and its control API over HTTP."""

import asyncio
import json
import signal
import sys
import tomllib
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner
from lorawan_small_server import APP_KEY, DEV_EUI, GATEWAY, NWK_KEY, SECOND_GATEWAY

from bridge.cli import main
from mock_network.lab import Broker as MqttBroker, free_port
from mock_network.lorawan.command import lorawan
from mock_network.lorawan.population import PopulationError, read_population

POPULATION = f"""
[[gateway]]
gateway_id = "{GATEWAY}"
[[gateway]]
gateway_id = "{SECOND_GATEWAY}"
[[device]]
dev_eui = "{DEV_EUI}"
dev_addr = "01020304"
nwk_s_key = "{NWK_KEY}"
app_s_key = "{APP_KEY}"
[[link]]
dev_eui = "{DEV_EUI}"
gateway_id = "{SECOND_GATEWAY}"
rssi = -120
"""


async def request(method: str, url: str, body: Any = None) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.request(method, url, json=body) as response:
        return response.status, await response.json() if response.status != 204 else None


async def test_the_process_says_where_everything_is_and_obeys(broker: MqttBroker, tmp_path: Path) -> None:
    path = tmp_path / "population.toml"
    path.write_text(POPULATION)
    command = [sys.executable, "-m", "mock_network.lorawan", "--mqtt", broker.address]
    command += ["--population", str(path), "--memory", str(tmp_path / "memory.json")]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            ready = json.loads(await process.stdout.readline())
        assert ready["gateways"] == [GATEWAY, SECOND_GATEWAY]
        assert ready["devices"][DEV_EUI][1] > 0
        base = ready["control"]

        status, state = await request("POST", f"{base}/devices/{DEV_EUI}/send", {"payload": "0102"})
        assert (status, state["datagrams"]) == (200, {"up": 1})
        async with asyncio.timeout(5):
            while not (air := (await request("GET", f"{base}/air?dev_eui={DEV_EUI}"))[1]):
                await asyncio.sleep(0.05)
        assert (air[0]["what"], air[0]["payload"], air[0]["f_cnt"]) == ("sent", "0102", 0)

        added = {"dev_eui": "70b3d57ed0000009", "app_key": APP_KEY, "device_class": "C"}
        assert (await request("POST", f"{base}/devices", added))[0] == 201
        assert len((await request("GET", f"{base}/devices"))[1]) == 2
        assert (await request("DELETE", f"{base}/devices/{added['dev_eui']}"))[0] == 204
        faults = {"late": 1.5, "next_statuses": ["COLLISION_PACKET"], "lost_tx_ack": 0.1}
        assert (await request("POST", f"{base}/gateways/{GATEWAY}/faults", faults))[0] == 204

        for method, url, body, expected in (
            ("GET", "/devices/00", None, 404),
            ("POST", "/devices/00/send", {"payload": ""}, 404),
            ("POST", f"/devices/{DEV_EUI}/dance", {}, 400),
            ("POST", f"/devices/{DEV_EUI}/send", {"payload": "xx"}, 400),
            ("POST", f"/devices/{DEV_EUI}/send", {}, 400),
            ("POST", f"/devices/{DEV_EUI}/data-rate", {"data_rate": 99}, 400),
            ("POST", f"/devices/{DEV_EUI}/link", {"gateway_id": GATEWAY, "colour": 1}, 400),
            ("POST", "/devices", {"dev_eui": "1"}, 400),
            ("POST", "/devices", [], 400),
            ("POST", f"/gateways/{GATEWAY}/faults", {"next_statuses": ["NICE"]}, 400),
            ("POST", "/gateways/00/faults", {}, 404),
        ):
            assert (await request(method, base + url, body))[0] == expected, url
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await process.wait() == 0
    assert json.loads((tmp_path / "memory.json").read_text())[DEV_EUI]["session"]["f_cnt_up"] == 1


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        "[[gadget]]\na = 1",
        "device = 1",
        '[[device]]\ndev_eui = "00"',
        f'[[device]]\ndev_eui = "{DEV_EUI}"\napp_key = "{APP_KEY}"\nport = 70000',
        '[[gateway]]\ngateway_id = "00"',
        f'[[gateway]]\ngateway_id = "{GATEWAY}"\nregion = "MOON"',
        f'[[gateway]]\ngateway_id = "{GATEWAY}"\ncolour = 1',
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_place(tmp_path: Path, text: str) -> None:
    path = tmp_path / "population.toml"
    path.write_text(text)
    with pytest.raises(PopulationError, match=r"population\.toml"):
        read_population(path)


def test_the_file_shown_in_the_documentation_is_right(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "real-chirpstack.md").read_text()
    blocks = [block.split("```")[0] for block in page.split("```toml")[1:]]
    server, population = (tomllib.loads(block) for block in blocks)
    assert server["regions"][0]["gateway"]["backend"]["mqtt"]["topic_prefix"] == "eu868"
    path = tmp_path / "population.toml"
    path.write_text(blocks[1])
    found = read_population(path)
    assert (len(found.devices), len(found.gateways), len(found.links)) == (2, 2, 1)
    assert len(population["device"]) == 2


def test_wrong_options_end_with_a_message() -> None:
    runner = CliRunner()
    for arguments in (["--control", "0.0.0.0:1"], ["--mqtt", "host:x"], ["--gateway", "zz"], ["--clock", "http://x"]):
        result = runner.invoke(lorawan, arguments)
        assert result.exit_code != 0
        assert "Error" in result.output


@pytest.mark.parametrize("name", ["chirpstack", "lorawan"])
def test_the_emulators_are_commands_of_lwm2m_bridge(name: str) -> None:
    result = CliRunner().invoke(main, ["mock", name, "--help"])
    assert result.exit_code == 0, result.output


def test_a_broker_that_is_not_there_ends_the_command_with_a_message() -> None:
    result = CliRunner().invoke(main, ["mock", "lorawan", "--mqtt", f"127.0.0.1:{free_port()}"])
    assert result.exit_code == 1
    assert "refused" in result.output
