"""A set-up whose bridge attacks what passes through it."""

import json
from dataclasses import dataclass
from typing import Any

from tests.e2e.kit import SetUp
from tests.waiting import until

SECRET = "6d617374657220736563726574206f6620"  # of these tests alone


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

    def attack(self, endpoint: str, way: str, what: str, **more: Any) -> None:
        """Have the next message of an endpoint attacked; it replaces earlier orders."""
        order = {"way": way, "endpoint": endpoint, "what": what, **more}
        (self.world.lab.directory / "attack.json").write_text(json.dumps([order]))

    def attacks(self, endpoint: str, what: str) -> list[dict[str, Any]]:
        """Return the attacks that were carried out."""
        notes = self.world.lab.directory / "attacks.jsonl"
        found = [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []
        return [one for one in found if (one["endpoint"], one["what"]) == (endpoint, what)]

    async def attacked(self, endpoint: str, what: str, times: int = 1) -> None:
        """Wait until an attack was carried out: a test whose attack did not happen proves nothing."""
        await until(lambda: len(self.attacks(endpoint, what)) >= times, why=f"no message was met by {what}")

    async def executed(self, name: str, path: str) -> int:
        """Return how many operations on a path the device has carried out."""
        done = await self.world.devices.get(f"/devices/{name}/operations")
        return sum(one["path"] == path and one["code"].startswith("2.") for one in done)

    async def value(self, name: str, path: str) -> Any:
        """Return a resource as the device has it."""
        return (await self.world.devices.get(f"/devices/{name}/resources{path}"))["value"]
