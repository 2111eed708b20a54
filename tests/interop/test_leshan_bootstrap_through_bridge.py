"""A real Leshan bootstrap server sends NIDD devices to their server, through the bridge and one Non-IP pipe."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.components import LESHAN_BOOTSTRAP
from tests.conftest import need_component
from tests.e2e.kit import set_up
from tests.waiting import until

pytestmark = pytest.mark.timeout(120)

NAME, LIFETIME, SERVER_ID = "leshan-bootstrapped", 4711, 7


@contextlib.asynccontextmanager
async def bootstrap_server(uri: str) -> AsyncIterator[int]:
    """Run Leshan's bootstrap server, which sends everybody to `uri`; gives its port."""
    folder = LESHAN_BOOTSTRAP.folder
    class_path = f"{folder / 'classes'}:{folder / 'lib'}/*"
    quick = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx128m"]
    pipe = asyncio.subprocess.PIPE
    with (folder / "bootstrap.log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            "java", *quick, "-cp", class_path, "interop.BootstrapMain", uri, str(LIFETIME),
            stdin=pipe, stdout=pipe, stderr=log, cwd=folder,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            async with asyncio.timeout(30):  # a Java start on a busy machine
                line = await process.stdout.readline()
            yield json.loads(line)["coap_port"]
        finally:
            process.stdin.close()
            await process.wait()
            process._transport.close()  # type: ignore[attr-defined]  # asyncio leaves the pipes open until collected


async def test_leshans_bootstrap_server_gives_a_device_its_account(tmp_path: Path):
    need_component(LESHAN_BOOTSTRAP)
    async with bootstrap_server("coap://lab.example") as port:
        servers = {"boot": f"coap://127.0.0.1:{port}", "lab": "127.0.0.1"}
        lines = {"boot": 'known_as = ["boot.example"]\nbootstrap = true', "lab": 'known_as = ["lab.example"]'}
        service = 'default_servers = ["boot", "lab"]'
        async with set_up(tmp_path, servers=servers, service=service, lines_of=lines) as world:
            made = await world.add_device(NAME, endpoint={}, device=None)
            pipe = "{}:{}".format(*made["modem"])
            await world.devices.post(
                "/devices", {"endpoint": NAME, "bootstrap_uri": "coap://boot.example", "pipe": pipe}
            )
            registered = await world.registered(NAME)
            assert registered["lifetime"] == LIFETIME
            await until(lambda: world._knows(NAME), why="the device does not know that it is registered")
            accounts = (await world.devices.get(f"/devices/{NAME}"))["servers"]
            assert [(one["id"], one["uri"]) for one in accounts] == [(SERVER_ID, "coap://lab.example")]
            carried = [one["operation"] for one in await world.devices.get(f"/devices/{NAME}/operations")]
            assert carried[-1] == "Bootstrap-Finish"
            assert {"Bootstrap-Delete", "Bootstrap-Write"} <= set(carried)
            assert (await world.ask(NAME, "read", "/3/0/1"))["code"] == "2.05"
