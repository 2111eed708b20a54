"""Both ends of an enabler test case, whatever network lies between them: a device, and its server."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from mock_network.lab import Api
from tests.e2e.kit import SetUp
from tests.ets.servers import ServerEnd
from tests.lorawan.lorawan_kit import PATIENCE, WINDOWS, LorawanSetUp
from tests.waiting import until

T = TypeVar("T")


class Ends(ABC):
    """A registered device named `name`, and what a case asks of it and of its server."""

    name: str
    patience: float
    """Seconds of real time that a condition may take."""
    lifetime: int
    """Seconds for which the device registers."""

    server: ServerEnd

    @property
    @abstractmethod
    def devices(self) -> Api:
        """The control API of the emulated devices."""

    @abstractmethod
    async def ask(self, operation: str, path: str = "", **body: Any) -> Any:
        """Have the server carry out an operation; return its outcome."""

    @abstractmethod
    async def act(self, action: str, **body: Any) -> Any:
        """Have the device do something; return its outcome."""

    @abstractmethod
    async def pass_time(self, seconds: float) -> None:
        """Let so many virtual seconds pass."""

    async def until(self, what: Callable[[], Awaitable[T]], why: str) -> T:
        """Wait until the answer is true, and return it."""
        return await until(what, self.patience, why)

    # The device's side

    async def set_value(self, path: str, value: Any) -> None:
        """Let the device measure something."""
        await self.devices.ask("PUT", f"/devices/{self.name}/resources{path}", {"value": value})

    async def machine(self, action: str) -> None:
        """Have the device `crash` or `restart`."""
        await self.devices.post(f"/devices/{self.name}/{action}", {})

    async def value(self, path: str) -> Any:
        """Return what the device has at a resource, asked at the device itself."""
        return (await self.devices.get(f"/devices/{self.name}/resources{path}"))["value"]

    async def observed(self) -> list[str]:
        """Return what the device believes to be observed."""
        return list((await self.devices.get(f"/devices/{self.name}"))["observed"])

    async def executed(self) -> list[str]:
        """Return the names of the operations that the device carried out."""
        return [one["operation"] for one in await self.devices.get(f"/devices/{self.name}/operations")]

    # The server's side

    async def client(self) -> Any:
        """Return the server's registration, None if there is none."""
        return await self.server.client(self.name)

    async def registered(self) -> Any:
        """Wait until server and device know of the registration; return the server's."""

        async def look() -> Any:
            known = (await self.devices.get(f"/devices/{self.name}"))["registered"]
            return await self.client() if known else None

        return await self.until(look, f"{self.name} is not registered")

    async def seen(self, kind: str) -> list[dict[str, Any]]:
        """Return what the server saw of one kind from this device."""
        return await self.server.seen(kind, self.name)

    async def more_seen(self, kind: str, than: int) -> list[dict[str, Any]]:
        """Wait until the server saw more of one kind than `than`."""

        async def look() -> list[dict[str, Any]]:
            found = await self.seen(kind)
            return found if len(found) > than else []

        return await self.until(look, f"no further {kind} of {self.name}")

    async def sends(self) -> list[dict[str, Any]]:
        """Return the values of each Send, by path."""
        return await self.server.sends(self.name)

    async def notified(self) -> list[dict[str, Any]]:
        """Return the values of each notification of observations that the server still knows."""
        return await self.server.notified(self.name)

    async def notification(self, **values: Any) -> None:
        """Wait for a notification in which the resources have these values: `r3303_0_5700=21.5`."""
        wanted = {f"/{name[1:].replace('_', '/')}": value for name, value in values.items()}

        async def look() -> bool:
            return any(wanted.items() <= one.items() for one in await self.notified())

        await self.until(look, f"no notification of {wanted}")


@dataclass
class NiddEnds(Ends):
    """The device is a UE, behind an SCEF."""

    world: SetUp
    server: ServerEnd
    name: str = "ets"
    patience: float = 8.0
    lifetime: int = 86400

    @property
    def devices(self) -> Api:
        return self.world.devices

    async def ask(self, operation: str, path: str = "", **body: Any) -> Any:
        return await self.server.ask(self.name, operation, path, **body)

    async def act(self, action: str, **body: Any) -> Any:
        return await self.world.act(self.name, action, **body)

    async def pass_time(self, seconds: float) -> None:
        await self.world.lab.step(seconds)


@dataclass
class LorawanEnds(Ends):
    """The device is of class A, behind ChirpStack; it polls while somebody waits for an answer."""

    world: LorawanSetUp
    server: ServerEnd
    name: str = "ets"
    patience: float = 25.0
    lifetime: int = 2592000
    response_timeout: float = PATIENCE
    """Virtual seconds for which the server waits."""

    @property
    def devices(self) -> Api:
        return self.world.devices

    async def ask(self, operation: str, path: str = "", **body: Any) -> Any:
        asking = asyncio.create_task(self.server.ask(self.name, operation, path, timeout=self.response_timeout, **body))
        return await self.world.polled(asking, self.name)

    async def act(self, action: str, **body: Any) -> Any:
        acting = asyncio.create_task(self.devices.post(f"/devices/{self.name}/{action}", body))
        await asyncio.wait({acting}, timeout=2 * WINDOWS / self.world.rate)
        return await self.world.polled(acting, self.name)

    async def pass_time(self, seconds: float) -> None:
        await self.world.lab.step(seconds)

    async def until(self, what: Callable[[], Awaitable[T]], why: str) -> T:
        async def look() -> T:
            if not (found := await what()):
                await asyncio.sleep(WINDOWS / self.world.rate)
                await self.world.act("poll", self.name)
            return found

        return await until(look, self.patience, why)
