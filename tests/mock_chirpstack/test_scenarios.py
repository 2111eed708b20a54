"""Ten scripted stories that the emulator and a real ChirpStack v4 must tell alike."""

import os
import sys
from typing import Any

import pytest
from mock_chirpstack_kit import TOKEN
from recordings import comparable, read, write
from scenario_runner import SCENARIOS, VirtualBackend, from_environment, live, load, run

from mock_network.chirpstack.mqtt import BrokerAddress

NAMES = sorted(path.stem for path in SCENARIOS.glob("*.toml"))


def test_there_are_ten():
    assert len(NAMES) == 10


@pytest.mark.parametrize("name", NAMES)
async def test_in_virtual_time(name):
    scenario = load(name)
    await run(scenario, VirtualBackend(scenario.get("profile", {})))


async def _live(name, broker, serve):
    server, _ = await serve(gateway_mqtt=BrokerAddress.parse(broker.address), mqtt=BrokerAddress.parse(broker.address))
    scenario = load(name)
    program = f"import urllib.request as u; u.urlopen(u.Request('{server.control_address}/restart', method='POST'))"
    restart = f'{sys.executable} -c "{program}"'
    where = {"grpc": server.grpc_address, "token": TOKEN, "mqtt": broker.address, "restart_command": restart}
    async with live(scenario.get("profile", {}), **where) as backend:
        await run(scenario, backend)


async def test_over_a_broker_and_grpc(broker, serve):
    await _live("confirmed_down", broker, serve)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
async def test_all_over_a_broker_and_grpc(name, broker, serve):
    await _live(name, broker, serve)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
async def test_on_a_real_server(name):
    where = from_environment()
    if where is None:
        pytest.skip("no real ChirpStack: set CHIRPSTACK_GRPC, CHIRPSTACK_MQTT and CHIRPSTACK_TOKEN")
    if name == "restart" and "restart_command" not in where:
        pytest.skip("CHIRPSTACK_RESTART does not say how to restart the server")
    scenario = load(name)
    events: list[Any] = []
    async with live(scenario.get("profile", {}), **where) as backend:
        await run(scenario, backend, events)
    if os.environ.get("CHIRPSTACK_RECORD"):
        write(name, events)


@pytest.mark.parametrize("name", NAMES)
async def test_the_emulator_publishes_what_the_real_server_published(name):
    """Step by step the same events, with the same members and the same values where a value does not depend on chance.

    The recordings come from ChirpStack v4.20.0-test.1 (source of 2026-07-23, commit d77207cd), built with SQLite.
    """
    scenario = load(name)
    events: list[Any] = []
    await run(scenario, VirtualBackend(scenario.get("profile", {})), events)
    assert comparable(events) == comparable(read(name))
