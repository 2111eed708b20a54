"""Enabler test cases with several servers over LoRaWAN; each has a class A device of its own, which polls always."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from mock_network.lab import Api, Lab
from tests.ets.cases import Case
from tests.ets.several import NOT_OVER_LORAWAN, SEVERAL
from tests.ets.table import parameters
from tests.lorawan.lorawan_kit import WINDOWS, LorawanSetUp, device, lorawan_set_up, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

CASES = {number: case for number, case in SEVERAL.items() if number not in NOT_OVER_LORAWAN}
EUIS = {f"case-{number}": f"70b3d57ed1000{number:03}" for number in CASES}
SERVERS_OF = {f"case-{number}": ["patient"] if number in {108, 109} else ["boot", "lab"] for number in CASES}


@dataclass
class World:
    """What `several` asks of a set-up, as `tests.e2e.kit.SetUp` has it."""

    lorawan: LorawanSetUp
    polling: str = ""
    """The device whose case is running."""

    @property
    def lab(self) -> Lab:
        return self.lorawan.lab

    @property
    def devices(self) -> Api:
        return self.lorawan.devices

    def server(self, name: str = "lab") -> Api:
        return self.lorawan.server if name == "lab" else self.lab.servers[name].api

    async def add_device(self, name: str, **_options: Any) -> dict[str, Any]:
        self.polling = name
        return await self.lorawan.device(name)

    async def registered(self, name: str, server: str = "lab") -> Any:
        async def look() -> Any:
            clients = await self.server(server).get("/clients")
            known = (await self.devices.get(f"/devices/{name}"))["registered"]
            return known and next((client for client in clients if client["endpoint"] == name), None)

        return await until(look, why=f"{name} is not registered at {server}")

    async def ask(self, name: str, operation: str, path: str = "", server: str = "lab", **body: Any) -> Any:
        body = {"path": path, "timeout": 86400, **body}
        return await self.server(server).post(f"/clients/{name}/{operation}", body)

    async def act(self, name: str, action: str, **body: Any) -> Any:
        return await self.devices.post(f"/devices/{name}/{action}", body)

    async def seen(self, kind: str, endpoint: str, server: str = "lab") -> Any:
        return await self.server(server).get("/seen", kind=kind, endpoint=endpoint)

    async def poll(self) -> None:
        """Let the device of the running case open its windows, again and again."""
        while True:
            await asyncio.sleep(WINDOWS / self.lorawan.rate)
            if self.polling:
                await self.lorawan.act("poll", self.polling)


async def more_servers(lab: Lab) -> str:
    """Start further servers; return their sections of the configuration."""
    text = ""
    for name, profile, line in (("boot", "plain", "bootstrap = true"), ("patient", "strict", 'queue_mode = "keep"')):
        part = await lab.start_server("--profile", profile, name=name)
        text += f'[servers.{name}]\nuri = "{part.ready["coap"]}"\nknown_as = ["{name}.example"]\n'
        text += f"patience = 86400.0\n{line}\n"
    return text


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    endpoints = [
        {"name": name, "network": "lorawan", "address": eui, "servers": SERVERS_OF[name]} for name, eui in EUIS.items()
    ]
    async with lorawan_set_up(
        tmp_path_factory.mktemp("ets"),
        devices=[device(eui) for eui in EUIS.values()],
        endpoints=endpoints,
        server_lines='patience = 86400.0\nknown_as = ["lab.example"]',
        also=more_servers,
    ) as lorawan:
        found = World(lorawan)
        await lorawan.joined()
        polling = asyncio.create_task(found.poll())
        yield found
        polling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await polling


@pytest.mark.parametrize("case", parameters("LoRaWAN", CASES))
async def test_case_of_several(world: World, case: Case):
    await case.run(world)
