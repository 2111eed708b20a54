"""The whole emulator from a file: devices with modem ports, gateway and server in one process, in virtual time."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys

import aiohttp
import pytest
from aiohttp import web
from chirpstack_api import api
from click.testing import CliRunner
from mock_chirpstack_kit import APP_KEY, DEV_EUI, GATEWAYS, NWK_KEY, TOKEN, Stubs

from mock_network.chirpstack.command import chirpstack, serve
from mock_network.chirpstack.population import PopulationError, parse
from mock_network.chirpstack.service import Options
from mock_network.clock import ClockThread, clock_loop_factory

ABP_EUI = "70b3d57ed0000002"


def file_of(http=""):
    return {
        "server": {"application": "tour", "http": http, "profile": {"class_c_timeout": 10}},
        "gateway": [{"gateway_id": GATEWAYS[0]}],
        "link": [{"dev_eui": DEV_EUI, "gateway_id": GATEWAYS[0], "rssi": -100}],
        "device": [
            {"dev_eui": DEV_EUI, "app_key": NWK_KEY.hex(), "duty_cycle": False},
            {
                "dev_eui": ABP_EUI,
                "dev_addr": "01020304",
                "nwk_s_key": NWK_KEY.hex(),
                "app_s_key": APP_KEY.hex(),
                "duty_cycle": False,
            },
        ],
    }


async def _story():
    """A client's datagram becomes an event; a confirmed downlink comes out of the modem and is acked."""
    posts = []

    async def hook(request):
        posts.append((request.query["event"], await request.json()))
        return web.Response()

    def posted(kind, dev_eui):
        return [body for seen, body in posts if seen == kind and body["deviceInfo"]["devEui"] == dev_eui]

    async def until_posted(kind, dev_eui):
        async with asyncio.timeout(600):
            while not (found := posted(kind, dev_eui)):
                await asyncio.sleep(0.2)
        return found[0]

    app = web.Application()
    app.router.add_post("/events", hook)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    population = parse(file_of(f"http://127.0.0.1:{runner.addresses[0][1]}/events"))
    server, radio, ready = await serve(Options(token=TOKEN), population)
    stubs = Stubs(server.grpc_address)
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.setblocking(False)
    try:
        await until_posted("join", DEV_EUI)
        for dev_eui in (DEV_EUI, ABP_EUI):
            host, port = ready["devices"][dev_eui]["modem"].split(":")
            client.sendto(b"up from " + dev_eui.encode(), (host, int(port)))
            assert (await until_posted("up", dev_eui))["fPort"] == 10
        item = api.DeviceQueueItem(dev_eui=ABP_EUI, f_port=10, data=b"down", confirmed=True)
        await stubs.device.Enqueue(api.EnqueueDeviceQueueItemRequest(queue_item=item), metadata=stubs.auth)
        async with aiohttp.ClientSession(server.control_address) as session:
            answer = await session.post(f"/radio/devices/{ABP_EUI}/send", json={"payload": "ff"})
            assert (await answer.json())["joined"]
            refused = await session.post(f"/radio/devices/{ABP_EUI}/nonsense", json={})
            assert refused.status == 400
        received, _ = await asyncio.get_running_loop().sock_recvfrom(client, 100)
        assert received == b"down"
        assert (await until_posted("ack", ABP_EUI))["acknowledged"]
    finally:
        client.close()
        await stubs.channel.close()
        await radio.stop()
        await server.stop()
        await runner.cleanup()


def test_devices_of_a_file_talk_through_their_modems():
    with ClockThread(rate=20) as clock, asyncio.Runner(loop_factory=clock_loop_factory(clock.url)) as runner:
        runner.run(_story())


@pytest.mark.parametrize(
    "body",
    [
        {"devices": []},
        {"gateway": [{"gateway_id": "XYZ"}]},
        {"gateway": [{"gateway": "00000000000000a1"}]},
        {"device": [{"dev_eui": DEV_EUI}]},
        {"device": [{"dev_eui": DEV_EUI, "app_key": NWK_KEY.hex(), "port": "x"}]},
        {"server": {"profile": {"rx1_dealy": 3}}},
        {"server": {"tennant": "x"}},
    ],
)
def test_a_wrong_file_says_what_is_wrong(body):
    with pytest.raises(PopulationError):
        parse(body)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--grpc", "0.0.0.0:1"],
        ["--grpc", "nonsense"],
        ["--fault", '{"kind": "no such"}'],
        ["--fault", "["],
        ["--mqtt", "127.0.0.1:1"],
        ["--mqtt", "127.0.0.1:x"],
        ["--clock", "http://192.0.2.1:1/"],
    ],
)
def test_wrong_options_end_with_a_message(arguments):
    result = CliRunner().invoke(chirpstack, arguments)
    assert result.exit_code in (1, 2)
    assert "Error" in result.output
    assert "Traceback" not in result.output


def test_the_command_prints_its_addresses_and_ends_on_sigterm(tmp_path):
    program = "from mock_network.chirpstack.command import chirpstack; chirpstack()"
    path = tmp_path / "radio.toml"
    path.write_text(f'[server]\n[[gateway]]\ngateway_id = "{GATEWAYS[0]}"\n')
    process = subprocess.Popen(
        [sys.executable, "-c", program, "--population", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": "."},
    )
    try:
        ready = json.loads(process.stdout.readline())
        assert {"grpc", "control", "application_id", "devices"} <= ready.keys()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
