"""Traffic of NIDD and LoRaWAN devices through one bridge, whose disk fills and of which backups are taken meanwhile."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Coroutine, Sequence
from pathlib import Path
from typing import Any

from mock_network.lab import SCS_AS, TOKEN, Api, Lab, free_port
from tests.durability.hazards import Backups, fill_disk, free_disk
from tests.durability.judge import Evidence
from tests.durability.lorawan import LorawanTraffic, lorawan_traffic
from tests.durability.nidd import PATIENCE, NiddTraffic
from tests.durability.traffic import Traffic
from tests.e2e.kit import SetUp

NAMES = ("first", "second")  # of the NIDD devices
SERVER = "nidd"  # theirs in the bridge's configuration
LEAST_ROOM, MOST_ROOM = 16 * 1024, 256 * 1024  # bytes that a file may have on a full disk


class _NiddSetUp(SetUp):
    """The NIDD part of a set-up that was made for LoRaWAN: its clients have a process of their own."""

    clients: Api

    @property
    def devices(self) -> Api:
        return self.clients


@contextlib.asynccontextmanager
async def both_traffic(directory: Path, *, prefix: Sequence[str] = ()) -> AsyncIterator["BothTraffic"]:
    """Start a bridge between two networks, with two devices and a server of its own on each."""
    parts: list[_NiddSetUp] = []

    async def also(lab: Lab) -> str:
        scef = await lab.start_scef(name="nidd")
        server = await lab.start_server(name="lab")
        found = _NiddSetUp(lab)
        found.clients = await lab.start_device("none", "coap://127.0.0.1:1", "--count", "0", process="nidd-device")
        parts.append(found)
        return f"""
[servers.{SERVER}]
uri = "{server.ready["coap"]}"
patience = {PATIENCE}
[networks.nidd]
binding = "nidd"
api_root = "{scef.ready["scef"]}"
scs_as_id = "{SCS_AS}"
credentials = {{ kind = "bearer", token = "{TOKEN}" }}
callbacks = {{ port = {free_port()} }}
"""

    async with lorawan_traffic(directory, also=also, prefix=prefix) as lorawan:
        yield BothTraffic(NiddTraffic(parts[0], NAMES, servers=[SERVER]), lorawan)


class BothTraffic(Traffic):
    """Devices of both networks."""

    def __init__(self, nidd: NiddTraffic, lorawan: LorawanTraffic) -> None:
        super().__init__(nidd.lab, (*nidd.devices, *lorawan.devices))
        self._nidd, self._lorawan = nidd, lorawan
        nidd.chronicle = lorawan.chronicle = self.chronicle
        self.over_after = max(nidd.over_after, lorawan.over_after)
        self.rests, self.leap = lorawan.rests, lorawan.leap
        self.answered_after = max(nidd.answered_after, lorawan.answered_after)
        self.backups = Backups(nidd.lab.directory, nidd.lab.directory / "bridge.toml")
        self.full = 0  # how often the disk was full

    async def prepare(self) -> None:
        await self._nidd.prepare()
        await self._lorawan.prepare()

    def operations(self, name: str, number: int) -> list[Coroutine[Any, Any, Any]]:
        return (self._nidd if name in self._nidd.devices else self._lorawan).operations(name, number)

    async def executed(self, name: str) -> list[dict[str, Any]]:
        """Return what a device has carried out."""
        api = self._nidd.found.devices if name in self._nidd.devices else self._lorawan.found.devices
        found: list[dict[str, Any]] = await api.get(f"/devices/{name}/operations")
        return found

    async def noticed(self) -> None:
        await self._nidd.noticed()
        await self._lorawan.noticed()

    async def gather(self) -> list[Evidence]:
        return [*await self._nidd.gather(), *await self._lorawan.gather()]

    async def live(self, seconds: float, rng: random.Random) -> None:
        """Run; in two of three lives the disk is full for a while or to the end, in one of three a backup is taken."""
        hazards = [asyncio.sleep(seconds)]
        if rng.random() < 2 / 3:
            room, begins, lasts = rng.randint(LEAST_ROOM, MOST_ROOM), rng.uniform(0, seconds), rng.uniform(0, 0.3)
            hazards.append(self._fill(room, begins, lasts))
        if rng.random() < 1 / 3:
            hazards.append(self._back_up(rng.uniform(0, seconds)))
        await asyncio.gather(*hazards)

    async def _fill(self, room: int, begins: float, lasts: float) -> None:
        await asyncio.sleep(begins)
        fill_disk(self.bridge.process, room)
        self.full += 1
        await asyncio.sleep(lasts)
        if lasts < 0.2:  # else the bridge is killed while the disk is full
            free_disk(self.bridge.process)

    async def _back_up(self, begins: float) -> None:
        await asyncio.sleep(begins)
        await self.backups.take([await self._nidd.at_server(), await self._lorawan.at_server()])
