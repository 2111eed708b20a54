"""Device and server as processes, driven through their control APIs only."""

import asyncio
import contextlib
import json
import sys
from contextlib import asynccontextmanager

import aiohttp
import pytest
from click.testing import CliRunner

from mock_network.clock import ClockControl, ClockThread
from mock_network.lwm2m_server.command import server as server_command

EP = "urn:dev:os:mock-1"


@asynccontextmanager
async def process(module, *arguments):
    """Yield the ready line of a running command."""
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"mock_network.{module}",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    try:
        async with asyncio.timeout(20):
            line = await running.stdout.readline()
        yield json.loads(line)
    finally:
        with contextlib.suppress(ProcessLookupError):
            running.terminate()
        async with asyncio.timeout(10):
            code = await running.wait()
        # Closes the pipe, which asyncio leaves open until collected.
        running._transport.close()
    assert code == 0


class Api:
    def __init__(self, session, base):
        self.session = session
        self.base = base

    async def __call__(self, method, path, body=None, status=200):
        async with self.session.request(method, self.base + path, json=body) as response:
            text = await response.text()
            assert response.status == status, text
            return json.loads(text) if text else None


@asynccontextmanager
async def both(*device_arguments, clock="real"):
    async with (
        process("lwm2m_server", "--listen", "127.0.0.1:0", "--clock", clock) as server_line,
        process("device", "--connect", server_line["coap"], "--clock", clock, *device_arguments) as device_line,
        aiohttp.ClientSession() as session,
    ):
        yield Api(session, server_line["control"]), Api(session, device_line["control"]), device_line


async def test_the_whole_story_over_http():
    async with both() as (server, device, line):
        client = await server("GET", f"/clients/{EP}?wait=20")
        assert client["address"] == line["devices"][0]["address"]

        read = await server("POST", f"/clients/{EP}/read", {"path": "/3303/0/5700", "timeout": 10})
        assert (read["outcome"], read["code"], read["values"]) == ("response", "2.05", {"/3303/0/5700": 20.0})

        written = await server("POST", f"/clients/{EP}/write", {"path": "/3/0/14", "value": "+09:00"})
        assert written["code"] == "2.04"
        value = await device("GET", f"/devices/{EP}/resources/3/0/14")
        assert value == {"value": "+09:00"}

        await server("POST", f"/clients/{EP}/observe", {"path": "/3303/0/5700"})
        await device("PUT", f"/devices/{EP}/resources/3303/0/5700", {"value": 33.5}, status=204)
        async with asyncio.timeout(10):
            while not (observations := await server("GET", "/observations"))[0]["notifications"]:
                await asyncio.sleep(0.02)
        assert observations[0]["notifications"][0]["values"] == {"/3303/0/5700": 33.5}

        sent = await device("POST", f"/devices/{EP}/send", {"paths": ["/3303/0/5700"]})
        assert sent["code"] == "2.04"
        assert (await server("GET", "/sends"))[0]["records"][0]["value"] == 33.5

        operations = await device("GET", f"/devices/{EP}/operations")
        assert [entry["operation"] for entry in operations] == ["Read", "Write", "Observe"]

        acknowledged = await server("GET", f"/seen?kind=acknowledged&endpoint={EP}")
        assert [entry["detail"] for entry in acknowledged] == ["piggybacked"] * 3

        discovered = await server("POST", f"/clients/{EP}/discover", {"path": "/3303/0"})
        assert "/3303/0/5700" in discovered["links"]

        await device("POST", f"/devices/{EP}/mute")
        silent = await server("POST", f"/clients/{EP}/read", {"path": "/3/0/9", "timeout": 0.2})
        assert silent["outcome"] == "no answer"
        await device("POST", f"/devices/{EP}/unmute")

        assert (await device("POST", f"/devices/{EP}/deregister"))["code"] == "2.02"
        await server("POST", f"/clients/{EP}/read", {"path": "/3/0/9"}, status=404)


async def test_wrong_calls_are_answered_with_a_reason():
    async with both() as (server, device, _):
        await server("GET", f"/clients/{EP}?wait=20")
        for body in (
            {},
            {"path": "3/0"},
            {"path": "/3/0/9", "timeout": "soon"},
            {"path": "/3/0/9", "accept": "xml"},
            [],
        ):
            assert (await server("POST", f"/clients/{EP}/read", body, status=400))["error"]
        await server("POST", f"/clients/{EP}/write", {"path": "/3/0/14", "value": 5}, status=400)
        await server("POST", f"/clients/{EP}/dance", {}, status=404)
        await server("POST", "/clients/nobody/read", {"path": "/3/0/9"}, status=404)
        await device("GET", "/devices/nobody", status=404)
        await device("PUT", f"/devices/{EP}/resources/3303/0/5700", {"value": "warm"}, status=400)
        await device("PUT", f"/devices/{EP}/resources/9/9/9", {"value": 1}, status=404)
        await device("POST", f"/devices/{EP}/send", {"paths": ["/9"]}, status=404)


async def test_devices_come_and_go_and_the_server_listens_again_on_its_port():
    async with both("--count", "3", "--name", "many-{n}") as (server, device, line):
        assert [entry["endpoint"] for entry in line["devices"]] == ["many-1", "many-2", "many-3"]
        for number in (1, 2, 3):
            await server("GET", f"/clients/many-{number}?wait=20")
        body = {"endpoint": "late", "connect": line["devices"][0]["connect"], "binding": "N"}
        await device("POST", "/devices", body, status=201)
        assert (await server("GET", "/clients/late?wait=20"))["binding"] == "N"
        assert "error" in await device("POST", "/devices", body, status=400)
        await device("DELETE", "/devices/late", status=204)
        assert len(await device("GET", "/devices")) == 3

        await server("POST", "/stop", {"forget": False})
        assert (await server("POST", "/clients/many-1/read", {"path": "/3/0/9"}))["outcome"] == "closed"
        assert (await server("POST", "/start"))["coap"] == line["devices"][0]["connect"]
        assert (await server("POST", "/clients/many-1/read", {"path": "/3/0/9"}))["code"] == "2.05"


async def test_a_test_clock_drives_both():
    with ClockThread(rate=0.0) as clock:
        control = ClockControl(clock.url)
        async with both("--lifetime", "600", clock=clock.url) as (server, _, __):
            async with asyncio.timeout(20):
                while not await server("GET", "/clients"):
                    await asyncio.sleep(0.02)
            for _ in range(5):  # the Update is due after 507 s, the end of the lifetime after 600 s
                updated = (await server("GET", f"/clients/{EP}"))["updated_at"]
                await asyncio.to_thread(control.step, 510.0)
                async with asyncio.timeout(20):
                    while (await server("GET", f"/clients/{EP}"))["updated_at"] == updated:
                        await asyncio.sleep(0.02)
            assert not await server("GET", "/seen?kind=expired")


@pytest.mark.parametrize("option", ["--control"])
def test_the_control_api_stays_on_loopback(option):

    result = CliRunner().invoke(server_command, [option, "192.0.2.1:0"])
    assert result.exit_code == 2
    assert "loopback" in result.output
