"""A real Leshan client is the application of a device without IP: on the modem of a UE, and of a LoRaWAN device."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from mock_network.lab import Api
from tests.components import LESHAN
from tests.conftest import need_component
from tests.e2e.kit import set_up
from tests.ets.servers import EmulatedServer
from tests.interop.leshan_client import leshan_client
from tests.lorawan.lorawan_kit import DEV_EUI, device, lorawan_set_up, until

pytestmark = pytest.mark.timeout(150)

NAME = "leshan-client"
SENSOR = "/3303/0/5700"


@contextlib.asynccontextmanager
async def over_nidd(directory: Path) -> AsyncIterator[tuple[Api, str]]:
    async with set_up(directory, service='default_servers = ["lab"]') as world:
        made = await world.add_device(NAME, endpoint={}, device=None)
        yield world.server(), "{}:{}".format(*made["modem"])


@contextlib.asynccontextmanager
async def over_lorawan(directory: Path) -> AsyncIterator[tuple[Api, str]]:
    """Yield a device of class C."""
    endpoint = {"name": NAME, "network": "lorawan", "address": DEV_EUI}
    async with lorawan_set_up(directory, devices=[device(device_class="C")], endpoints=[endpoint]) as world:
        await world.joined()
        yield world.server, "{}:{}".format(*(await world.device(NAME))["modem"])


@pytest.mark.parametrize("over", [over_nidd, over_lorawan], ids=["NIDD", "LoRaWAN"])
async def test_a_leshan_client_is_managed_through_the_bridge(
    over: Callable[[Path], AbstractAsyncContextManager[tuple[Api, str]]], tmp_path: Path
):
    need_component(LESHAN)
    async with over(tmp_path) as (api, modem):
        server = EmulatedServer(api)

        async def ask(operation: str, path: str, **body: Any) -> Any:
            return await asyncio.wait_for(server.ask(NAME, operation, path, timeout=600, **body), 60)

        async with leshan_client(NAME, server=f"coap://{modem}", lifetime=86400) as client:
            registered = await until(lambda: server.client(NAME), why="the client is not registered")
            assert registered["lifetime"] == 86400
            await asyncio.sleep(1)  # its own application is told of the answer a moment later
            for accept in ("tlv", "senml_json", "senml_cbor"):
                assert (await ask("read", SENSOR, accept=accept))["values"] == {SENSOR: 20.0}, accept
            assert (await ask("write", "/3303/0/5750", value="shelf"))["code"] == "2.04"
            assert (await ask("observe", SENSOR))["values"] == {SENSOR: 20.0}
            client.order("set 25.5")

            async def notified() -> bool:
                return {SENSOR: 25.5} in await server.notified(NAME)

            await until(notified, why="nothing was notified")
            assert (await ask("cancel", SENSOR))["code"] == "2.05"
            client.order("send")
            assert await client.line() == {"send": "CHANGED(204)"}
            assert (await server.sends(NAME))[-1] == {SENSOR: 25.5}

        async def gone() -> bool:
            return await server.client(NAME) is None

        await until(gone, why="the client did not de-register")
