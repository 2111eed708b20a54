"""A key that a bootstrap server writes to a device without end-to-end security stands in nothing that the bridge keeps.

The bridge passes the message on, so it reads it; the ledger, its copies, traces, recordings and logs do not show it.
"""

import asyncio
import base64
import json
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from mock_network.lab import free_port
from tests.e2e.kit import SetUp, set_up
from tests.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

NAME = "bootstrapped"
KEY = b"planted-psk-0417"
MASTER = b"planted-oscore-5"
STORE_KEY = "1f" * 32
WRITTEN = ("bridge.log*", "bridge.db*", "copy.db", "trace.*")
"""What the bridge and its commands write in the directory of a set-up; recordings of the emulators may show keys."""


def shows(data: bytes) -> list[str]:
    """Return in which writing a key stands in data."""
    found = []
    for key in (KEY, MASTER):
        writings = {"as it is": key, "hexadecimal": key.hex().encode()}
        for offset in range(3):  # base64 of a message that has it at any place
            coded = base64.b64encode(bytes(offset) + key)
            writings[f"base64 at {offset}"] = coded[4 if offset else 0 : -4]
        found += [how for how, writing in writings.items() if writing in data]
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SetUp]:
    async with set_up(
        tmp_path_factory.mktemp("keys"),
        north=f"port = {free_port()}",
        service=f'store_key = "{STORE_KEY}"\nlog_level = "debug"',
        server_lines='bootstrap = true\nknown_as = ["lab.example"]',
    ) as made:
        yield made


async def traced(world: SetUp, folder: Path) -> asyncio.subprocess.Process:
    """Begin a trace with all that one can ask for; its lines are in trace.ndjson, messages in trace.pcapng."""
    lines = (folder / "trace.ndjson").open("wb")
    words = ("trace", NAME, "--json", "--payload", "--pcap", str(folder / "trace.pcapng"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bridge.cli", *words, "--config", str(folder / "bridge.toml"),
        stdin=asyncio.subprocess.DEVNULL, stdout=lines, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    lines.close()
    assert process.stderr is not None
    assert b"tracing" in await process.stderr.readline()
    return process


async def bootstrap(world: SetUp) -> None:
    """Let a device be bootstrapped: with a pre-shared key, an OSCORE context, and an instance that holds no key."""
    b64 = {name: base64.b64encode(value).decode() for name, value in (("psk", KEY), ("oscore", MASTER))}
    empty = {"base64": ""}
    psk = {"0": "coaps://lab.example", "1": False, "2": 0, "3": empty, "4": empty, "5": {"base64": b64["psk"]}, "10": 7}
    oscore = {"0": {"base64": b64["oscore"]}, "1": {"base64": "YQ=="}, "2": {"base64": "Yg=="}}
    server = {"0": 7, "1": 600, "6": True, "7": "U"}
    steps: list[dict[str, Any]] = [
        {"operation": "delete", "path": "/0"},
        *(
            {"operation": "write", "path": path, "values": {f"{path}/{key}": value for key, value in values.items()}}
            for path, values in (("/0/5", psk), ("/21/0", oscore), ("/1/0", server))
        ),
        {"operation": "write", "path": "/3/0/14", "value": "+13:37"},
        {"operation": "finish"},
    ]
    await world.server().ask("PUT", f"/bootstrap/{NAME}", {"steps": steps})
    ue = await world.add_ue(NAME)
    await world.add_endpoint(name=NAME, network="nidd", address=f"{NAME}@iot", servers=["lab"])
    await world.configured(NAME)
    process = await traced(world, world.lab.directory)
    pipe = "{}:{}".format(*ue["modem"])
    device = {"endpoint": NAME, "pipe": pipe, "bootstrap_uri": "coap://lab.example", "objects": [21]}
    await world.devices.post("/devices", device)

    async def finished() -> bool:
        sessions = (await world.server().get("/bootstrap"))["sessions"]
        return any((one["endpoint"], one["state"]) == (NAME, "finished") for one in sessions)

    await until(finished, 30, "the bootstrap did not end well")

    async def recorded() -> bool:
        return b"+13:37" in (world.lab.directory / "trace.pcapng").read_bytes()

    await until(recorded, 10, "the trace has no message of the bootstrap")
    process.send_signal(signal.SIGINT)
    await process.wait()


async def test_a_key_that_passed_stands_nowhere(world: SetUp):
    await bootstrap(world)
    folder = world.lab.directory
    assert (await world.command("backup", str(folder / "copy.db"))).code == 0
    device = await world.devices.get(f"/devices/{NAME}/resources/0/5/5")
    assert device["value"] == {"base64": base64.b64encode(KEY).decode()}, "the key did not pass"
    files = {file for pattern in WRITTEN for file in folder.glob(pattern)}
    assert {"bridge.db", "copy.db", "trace.pcapng", "trace.ndjson"} <= {file.name for file in files}
    assert {str(file): found for file in sorted(files) if (found := shows(file.read_bytes()))} == {}
    assert shows(world.log().encode()) == []
    lines = [json.loads(line) for line in (folder / "trace.ndjson").read_text().splitlines()]
    withheld = {line["coap"]["path"] for line in lines if "withheld" in line["note"] and line["coap"]}
    assert withheld == {"/0/5", "/21/0"}
    assert any(value["value"] == "+13:37" for line in lines for value in line["values"])


async def test_what_the_api_and_the_commands_say_of_those_messages_shows_no_key(world: SetUp):
    listed = await world.command("downlink", "list", "--json")
    said = [listed.out, (await world.command("endpoint", "show", NAME, "--json")).out]
    ids = [str(one["id"]) for one in json.loads(listed.out)["items"]]
    said += [(await world.command("downlink", "show", one, "--payload", "--json")).out for one in ids]
    assert shows("".join(said).encode()) == []
    assert "/0/5" in listed.out


async def test_the_rows_are_in_the_database_and_their_bodies_are_sealed(world: SetUp):
    with sqlite3.connect(f"file:{world.lab.directory / 'copy.db'}?mode=ro", uri=True) as copy:
        bodies = [body for (body,) in copy.execute("SELECT body FROM downlink WHERE length(body) > 0")]
    copy.close()
    assert bodies
    assert all(body.startswith(b"\x00sealed1") for body in bodies)
