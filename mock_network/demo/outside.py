"""What the server got, what went over the air, what the device did: the tour judges only by these."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from mock_network.lab import Api, Lab
from mock_network.lab.process import real_sleep


class StepFailed(Exception):
    """An expectation failed; the text says what was expected and what was found."""


def check(held: object, text: str) -> None:
    """Raise StepFailed with `text` unless `held`."""
    if not held:
        raise StepFailed(text)


async def until(what: str, found: Callable[[], Awaitable[Any]], seconds: float = 10.0) -> Any:
    """Poll until there is a result, and return it. Raises StepFailed after `seconds` of real time."""
    end = time.monotonic() + seconds
    while True:
        result = await found()
        if result:
            return result
        if time.monotonic() > end:
            raise StepFailed(f"not within {seconds:.0f} s: {what}")
        await real_sleep(0.05)


class Outside:
    """The witnesses of one set-up, for one endpoint on one UE and its server."""

    def __init__(self, lab: Lab, endpoint: str, ue: str, server: str = "server") -> None:
        self.lab = lab
        self.endpoint = endpoint
        self.ue = ue
        self._server = server

    @property
    def server(self) -> Api:
        """Return the control API of the server. Raises StepFailed if it was not started."""
        if self._server not in self.lab.servers:
            raise StepFailed("there is no server")
        return self.lab.servers[self._server].api

    async def ask_device(self, operation: str, path: str, **body: Any) -> dict[str, Any]:
        """Let the server do an operation; return its result for the server."""
        answer: dict[str, Any] = await self.server.post(
            f"/clients/{self.endpoint}/{operation}", {"path": path, "timeout": 20, **body}
        )
        return answer

    async def client(self) -> dict[str, Any]:
        """Return the registration as the server has it."""
        found: dict[str, Any] = await self.server.get(f"/clients/{self.endpoint}", wait=20)
        return found

    async def seen(self, since: int = 0, kind: str | None = None) -> list[dict[str, Any]]:
        """Return what the server recorded after entry `since`."""
        return list(await self.server.get("/seen", since=since, kind=kind))

    async def last_seen(self) -> int:
        entries = await self.seen()
        return entries[-1]["number"] if entries else 0

    async def air(self, since: int = 0, what: str | None = None) -> list[dict[str, Any]]:
        """Return what went over the air after entry `since`."""
        if self.lab.scef is None:
            raise StepFailed("there is no SCEF")
        return list(await self.lab.scef.get("/air-log", since=since, ue=self.ue, what=what))

    async def last_air(self) -> int:
        entries = await self.air()
        return entries[-1]["number"] if entries else 0

    async def requests_on_air(self, since: int) -> list[bytes]:
        """Return the CoAP requests that reached the UE after entry `since`; answers to its own do not count."""
        data = [bytes.fromhex(entry["data"]) for entry in await self.air(since, "downlink")]
        return [message for message in data if 0 < message[1] < 32]  # noqa: PLR2004 - request codes, RFC 7252 §12.1

    async def executed(self, since: int = 0) -> list[dict[str, Any]]:
        """Return the operations that the device carried out after entry `since`."""
        if self.lab.devices is None:
            raise StepFailed("there is no device")
        return list(await self.lab.devices.get(f"/devices/{self.endpoint}/operations", since=since))

    async def sleep(self) -> None:
        """Send the UE into power saving, and see that it is there."""
        if self.lab.scef is None:
            raise StepFailed("there is no SCEF")
        await self.lab.scef.post(f"/ues/{self.ue}/sleep")

    async def wake(self) -> None:
        """Have the UE wake up, as its periodic tracking area update does."""
        if self.lab.scef is None:
            raise StepFailed("there is no SCEF")
        await self.lab.scef.post(f"/ues/{self.ue}/wake")
