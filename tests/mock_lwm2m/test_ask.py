"""The commands that have a running device or server do something, as a person types them."""

import asyncio
import json
import re
from concurrent.futures import Future
from threading import Thread

import pytest
from click.testing import CliRunner

from mock_network.control_api import listening
from mock_network.device.command import device as device_command
from mock_network.device.control import make_app as device_app
from mock_network.device.fleet import Fleet
from mock_network.device.options import DEFAULT_OBJECTS, DeviceOptions
from mock_network.lwm2m_server.bootstrap_plan import Plan
from mock_network.lwm2m_server.command import server as server_command
from mock_network.lwm2m_server.control import make_app as server_app
from mock_network.lwm2m_server.server import LwM2mServer

EP = "urn:dev:os:mock-1"


@pytest.fixture(scope="module")
def running():
    """A server and a device with their control APIs, on an event loop of their own."""
    ready, stop = Future(), asyncio.Event()

    async def serve():
        server, fleet = LwM2mServer(seed=1), Fleet()
        host, port = await server.start(("127.0.0.1", 0))
        server.bootstrap.plans["*"] = Plan.parse({"manual": True})
        defaults = DeviceOptions("", "", seed=2)
        options = DeviceOptions(
            EP, f"coap://{host}:{port}", objects=DEFAULT_OBJECTS | {3442}, bootstrap_uri=f"coap://{host}:{port}", seed=2
        )
        await fleet.add(options)
        await server.wait_registered(EP, 20)
        anywhere = ("127.0.0.1", 0)
        async with (
            listening(server_app(server), anywhere) as one,
            listening(device_app(fleet, defaults), anywhere) as two,
        ):
            ready.set_result((asyncio.get_running_loop(), one, two))
            await stop.wait()
        await fleet.stop()
        await server.stop()

    thread = Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    loop, server_address, device_address = ready.result(20)
    yield server_address, device_address
    loop.call_soon_threadsafe(stop.set)
    thread.join()


@pytest.fixture
def server(running):
    return lambda *words, code=0: _run(server_command, running[0], words, code)


@pytest.fixture
def device(running):
    return lambda *words, code=0: _run(device_command, running[1], words, code)


def _run(command, address, words, code):
    result = CliRunner().invoke(command, ["--control", address, *words])
    assert result.exit_code == code, result.output
    return result.output


def test_every_operation_of_the_server(server, device):
    assert EP in server("clients")
    assert server("read", EP, "/3303/0/5700") == "2.05\n  /3303/0/5700  20.0\n"
    assert json.loads(server("read", EP, "/3303/0/5700", "--accept", "json", "--json"))["content_format"] == 11543
    assert server("write", EP, "/3/0/14", "+02:00") == "2.04\n"
    assert (
        server("write", EP, "/3442/0", "/3442/0/120=5", "/3442/0/110=five", "--partial", "--format", "senml_json")
        == "2.04\n"
    )
    assert device("get", EP, "/3442/0/110") == "five\n"
    assert server("execute", EP, "/3442/0/3", "1='a'") == "2.04\n"
    assert server("attributes", EP, "/3303/0/5700", "pmin=1", "st=0.5") == "2.04\n"
    assert "  /3303/0/5700  pmin=1 st=0.5\n" in server("discover", EP, "/3303/0")
    assert server("attributes", EP, "/3303/0/5700", "pmin", "st") == "2.04\n"
    assert server("create", EP, "/3303", "/3303/3/5750=cellar") == "2.01  /3303/3\n"
    assert server("delete", EP, "/3303/3") == "2.02\n"
    assert server("read-composite", EP, "/3/0/14", "/3442/0/120") == "2.05\n  /3/0/14  +02:00\n  /3442/0/120  5\n"
    assert server("write-composite", EP, "/3/0/14=+03:00", "/3442/0/140=false") == "2.04\n"
    assert server("read", EP, "/9", code=1) == "4.04  no such object\n"


def test_observations_are_shown_and_ended(server, device):
    server("observe", EP, "/3303/0/5700")
    server("observe", EP, "/3303/0/5700", "/3/0/9")
    device("set", EP, "/3303/0/5700", "30.5")
    for _ in range(100):
        shown = server("observations")
        if shown.count("30.5") == 2:
            break
    assert re.search(rf"{EP}  /3303/0/5700 /3/0/9\n  2.05 NON  /3303/0/5700 30.5  /3/0/9 100\n", shown)
    assert json.loads(server("observations", "--json"))[1]["paths"] == ["/3303/0/5700", "/3/0/9"]
    assert server("cancel", EP, "/3303/0/5700", "/3/0/9").startswith("2.05")
    assert server("cancel", EP, "/3303/0/5700", "--forget") == "outcome: done\n"


def test_what_a_device_does_when_told(server, device):
    assert EP in device("list")
    assert device("send", EP, "/3/0/9") == "2.04\n"
    assert f"{EP}  /3/0/9 100\n" in server("sends")
    assert device("do", EP, "update") == "2.04\n"
    assert device("do", EP, "mute") == "outcome: done\n"
    assert server("read", EP, "/3/0/9", "--timeout", "0.1", code=1).startswith("outcome: no answer\n")
    device("do", EP, "unmute")
    server("write", EP, "/3/0/15", "Mars/North")
    assert "Write" in device("operations", EP)
    assert device("do", EP, "bootstrap") == "2.04\n"
    assert server("bootstraps") == f"{EP}  manual\n"


def test_errors_say_what_to_do(server, device):
    assert "not registered" in server("read", "nobody", "/3", code=1)
    assert "no resource is known at /3/0/99" in server("write", EP, "/3/0/99", "1", code=1)
    assert "not found" in device("get", EP, "/3/0/99", code=1)
    result = CliRunner().invoke(server_command, ["clients"])
    assert "--control must say where" in result.output
    result = CliRunner().invoke(server_command, ["--control", "127.0.0.1:1", "clients"])
    assert "no control API answers" in result.output
    assert "name a server with --connect" in CliRunner().invoke(device_command, []).output


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--objects", "9"], "object 9 has no definition"),
        (["--objects", "x"], "are no object ids"),
        (["--block-size", "100"], "100 is no block size"),
        (["--server", "id=1"], "needs id and uri"),
        (["--bearer", "colour=red"], "colour"),
        (["--count", "2", "--name", "same"], "several devices need {n}"),
    ],
)
def test_wrong_options_of_a_device_are_told(words, reason):
    result = CliRunner().invoke(device_command, ["--connect", "coap://127.0.0.1:1", *words])
    assert result.exit_code == 2
    assert reason in " ".join(result.output.split())


def test_a_file_of_plans_or_definitions_that_means_nothing_is_told(tmp_path):
    bad = tmp_path / "bad.toml"
    bad.write_text("x = 1")
    for option in ("--bootstrap", "--object-files"):
        result = CliRunner().invoke(server_command, [option, str(bad)])
        assert result.exit_code == 2
        assert "bad.toml" in result.output.replace("\n", "")
