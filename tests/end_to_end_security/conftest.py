"""A set-up whose bridge attacks what passes through it."""

from dataclasses import dataclass
from typing import Any

from tests.e2e.kit import SetUp
from tests.end_to_end_security.orders import Orders

SECRET = "6d617374657220736563726574206f6620"  # of these tests alone
KEY = bytes(range(16)).hex()


@dataclass(frozen=True)
class Hostile:
    """The set-up, and the orders of its bridge."""

    world: SetUp

    async def protected(self, name: str, number: int, **device: Any) -> None:
        """Add a device that has an OSCORE context with its server, and wait until it is registered."""
        mine, theirs = f"{number:02x}", f"f{number:x}"
        keys = {"secret": SECRET, "sender": mine, "recipient": theirs}
        await self.world.server().ask("PUT", f"/oscore/{name}", {**keys, "sender": theirs, "recipient": mine})
        await self.world.add_device(name, endpoint={}, device={"oscore": keys, **device})

    async def in_session(self, name: str, **device: Any) -> None:
        """Add a device that has a DTLS session with its server, and wait until it is registered."""
        keys = {"identity": name, "key": KEY}
        await self.world.server().ask("PUT", f"/psk/{name}", keys)
        await self.world.add_device(name, endpoint={}, device={"psk": keys, **device})

    @property
    def orders(self) -> Orders:
        return Orders(self.world.lab.directory)

    def attack(self, endpoint: str, way: str, what: str, **more: Any) -> None:
        self.orders.attack(endpoint, way, what, **more)

    def attacks(self, endpoint: str, what: str) -> list[dict[str, Any]]:
        return self.orders.attacks(endpoint, what)

    async def attacked(self, endpoint: str, what: str, times: int = 1) -> None:
        await self.orders.attacked(endpoint, what, times)

    async def executed(self, name: str, path: str) -> int:
        """Return how many operations on a path the device has carried out."""
        done = await self.world.devices.get(f"/devices/{name}/operations")
        return sum(one["path"] == path and one["code"].startswith("2.") for one in done)

    async def value(self, name: str, path: str) -> Any:
        """Return a resource as the device has it."""
        return (await self.world.devices.get(f"/devices/{name}/resources{path}"))["value"]
