"""Ten scripted stories that the emulator and a real ChirpStack v4 must tell alike."""

import sys

import pytest
from mock_chirpstack_kit import TOKEN
from scenario_runner import SCENARIOS, VirtualBackend, from_environment, live, load, run

from mock_network.chirpstack.mqtt import BrokerAddress

NAMES = sorted(path.stem for path in SCENARIOS.glob("*.toml"))


def test_there_are_ten():
    assert len(NAMES) == 10


@pytest.mark.parametrize("name", NAMES)
async def test_in_virtual_time(name):
    scenario = load(name)
    await run(scenario, VirtualBackend(scenario.get("profile", {})))


async def _live(name, mosquitto, serve):
    server, _ = await serve(gateway_mqtt=BrokerAddress.parse(mosquitto), mqtt=BrokerAddress.parse(mosquitto))
    scenario = load(name)
    program = f"import urllib.request as u; u.urlopen(u.Request('{server.control_address}/restart', method='POST'))"
    restart = f'{sys.executable} -c "{program}"'
    where = {"grpc": server.grpc_address, "token": TOKEN, "mqtt": mosquitto, "restart_command": restart}
    async with live(scenario.get("profile", {}), **where) as backend:
        await run(scenario, backend)


async def test_over_a_broker_and_grpc(mosquitto, serve):
    await _live("confirmed_down", mosquitto, serve)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
async def test_all_over_a_broker_and_grpc(name, mosquitto, serve):
    await _live(name, mosquitto, serve)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
async def test_on_a_real_server(name):
    where = from_environment()
    if where is None:
        pytest.skip("no real ChirpStack: set CHIRPSTACK_GRPC, CHIRPSTACK_MQTT and CHIRPSTACK_TOKEN")
    if name == "restart" and "restart_command" not in where:
        pytest.skip("CHIRPSTACK_RESTART does not say how to restart the server")
    scenario = load(name)
    async with live(scenario.get("profile", {}), **where) as backend:
        await run(scenario, backend)
