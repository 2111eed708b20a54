"""What cases with several servers ask of a set-up, whatever its network, and whichever server is behind a name."""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from mock_network.lab import Api, Lab
from tests.e2e.kit import SetUp
from tests.ets.servers import ServerEnd
from tests.lorawan.lorawan_kit import WINDOWS, LorawanSetUp, until  # it waits long enough for both networks


@dataclass
class World(ABC):
    """`ends` has the servers of cases by the names that cases use; bootstrap servers are emulated always."""

    ends: Mapping[str, ServerEnd]
    stride = 10.0
    """Virtual seconds in which a test may move the clock at once."""
    largest_record: ClassVar[int | None] = None
    """Bytes of a record with which a device fits a frame; None: it has no need to cut its handshakes."""

    @property
    @abstractmethod
    def lab(self) -> Lab:
        """The processes of the set-up."""

    @abstractmethod
    async def add_device(self, name: str, **options: Any) -> dict[str, Any]:
        """Add the radio of a device; return its state, with the address of its modem."""

    @property
    def devices(self) -> Api:
        assert self.lab.devices is not None
        return self.lab.devices

    def server(self, name: str) -> Api:
        """Return the control API of an emulated server."""
        return self.lab.servers[name].api

    async def registered(self, name: str, server: str = "lab") -> Any:
        """Wait until server and device know of the registration; return the server's."""

        async def look() -> Any:
            known = (await self.devices.get(f"/devices/{name}"))["registered"]
            return known and await self.ends[server].client(name)

        return await until(look, why=f"{name} is not registered at {server}")

    async def ask(self, name: str, operation: str, path: str = "", server: str = "lab", **body: Any) -> Any:
        """Have a server carry out an operation; return its outcome."""
        return await self.ends[server].ask(name, operation, path, **{"timeout": 86400, **body})

    async def act(self, name: str, action: str, **body: Any) -> Any:
        """Have a device do something; return its outcome."""
        return await self.devices.post(f"/devices/{name}/{action}", body)

    async def seen(self, kind: str, name: str, server: str = "lab") -> Any:
        """Return what a server saw of one kind from a device."""
        return await self.ends[server].seen(kind, name)

    async def asleep(self, name: str, server: str) -> None:
        """Let so much time pass that the server believes a silent device in queue mode to sleep."""
        await self.lab.step(120)
        await self.ends[server].asleep(name)

    async def kept(self, name: str, operation: str, path: str, server: str) -> Any:
        """Have a server keep a request for a device that sleeps, until it is awake; return the answer."""
        return await self.ends[server].kept(name, operation, path)


@dataclass
class NiddWorld(World):
    """Devices are UEs."""

    nidd: SetUp

    @property
    def lab(self) -> Lab:
        return self.nidd.lab

    async def add_device(self, name: str, **options: Any) -> dict[str, Any]:
        return await self.nidd.add_device(name, **options)


@dataclass
class LorawanWorld(World):
    """Devices are of class A, and have joined already; that of the running case polls always."""

    lorawan: LorawanSetUp
    polling: str = ""
    stride = 50.0
    largest_record: ClassVar[int | None] = 200  # 222 bytes a frame, of which MAC commands may take 15

    @property
    def lab(self) -> Lab:
        return self.lorawan.lab

    async def add_device(self, name: str, **_options: Any) -> dict[str, Any]:
        self.polling = name
        return await self.lorawan.device(name)

    @contextlib.asynccontextmanager
    async def polled(self) -> AsyncIterator[None]:
        """Have the device of the running case open its windows, again and again, while inside."""
        polling = asyncio.create_task(self._poll())
        try:
            yield
        finally:
            polling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await polling

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(WINDOWS / self.lorawan.rate)
            if self.polling:
                await self.lorawan.act("poll", self.polling)
