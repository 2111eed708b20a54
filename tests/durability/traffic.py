"""Traffic in both directions, and a bridge that is killed in it."""

import asyncio
import itertools
import random
from dataclasses import dataclass, field
from typing import Any

from mock_network.lab import ProcessEnded
from tests.durability.judge import Evidence, gather, judge
from tests.e2e.kit import SetUp, until

CRASH_POINT = "LWM2M_BRIDGE_CRASH_POINT"
PATIENCE = 300.0  # seconds that the server waits: the bridge's 115 begin only once a request got through to it
SETTLED_WITHIN = 60.0  # seconds of real time
POINT_REACHED_WITHIN = 15.0


@dataclass
class Traffic:
    """Devices of one set-up, and all that server and devices have begun."""

    found: SetUp
    devices: tuple[str, ...]
    begun: list[asyncio.Task[Any]] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    evidence: Evidence = field(default_factory=Evidence)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def prepare(self) -> None:
        """Register the devices and observe them."""
        for name in self.devices:
            await self.found.add_device(name, endpoint={}, device={})
            assert (await self.found.ask(name, "observe", "/3303/0/5700"))["code"] == "2.05"

    def begin(self) -> None:
        """Begin an operation of each kind, in both directions, on each device."""
        for name in self.devices:
            number = next(self._numbers)
            ask = self.found.ask
            work = [
                ask(name, "write", "/3/0/14", value=f"+{number}", timeout=PATIENCE),
                ask(name, "execute", "/3303/0/5605", arguments=f"{number}", timeout=PATIENCE),
                ask(name, "read", "/3/0/0", timeout=PATIENCE),
                self.found.act(name, "send", paths=["/3303/0/5750"], timestamp=1_700_000_000 + number),
                self.found.set_value(name, "/3303/0/5700", 20.0 + number),
            ]
            self.begun += [asyncio.ensure_future(one) for one in work]

    async def life(self, point: str) -> None:
        """Start the bridge, and let traffic take it to a named crash point, where it ends."""
        bridge = self.found.bridge
        try:
            await bridge.start({CRASH_POINT: point})
        except ProcessEnded:
            pass  # what an earlier life left was enough to get there
        else:
            for _ in range(5):
                self.begin()
                try:
                    await asyncio.wait_for(bridge.process.ended(), POINT_REACHED_WITHIN / 5)
                    break
                except TimeoutError:
                    continue
        assert not bridge.process.running, f"{point} was not reached"
        assert await bridge.process.ended() == -9

    async def short_life(self, rng: random.Random) -> None:
        """Start the bridge and kill it at any moment of its traffic."""
        await self.found.bridge.start()
        self.begin()
        await asyncio.sleep(rng.uniform(0.0, 0.5))
        self.found.bridge.process.kill()

    async def calm_life(self) -> None:
        """Start the bridge, let it work off what waits, and kill it: else full queues would refuse all that follows."""
        await self.found.bridge.start()
        await self._answered()
        self.found.bridge.process.kill()

    async def _answered(self) -> None:
        async def answered() -> bool:
            if all(task.done() for task in self.begun):
                return True
            await self.found.lab.step(2.0)
            await asyncio.sleep(0.1)
            return False

        await until(answered, SETTLED_WITHIN, "a request has no answer")

    async def settle(self) -> list[str]:
        """Start it for good, wait for all answers, let all deadlines pass, end it, and give the judge's verdict."""
        await self.found.bridge.start()
        await self._answered()
        self.answers = [task.result() for task in self.begun if not task.cancelled()]
        await self.found.lab.step(300.0)

        async def over() -> bool:
            counts = await self.found.bridge.get("/counts")
            open_ = [c for c in counts["downlinks"] if not c["over"]]
            open_ += [c for c in counts["uplinks"] if c["state"] == "RECEIVED"]
            return not open_

        try:
            await until(over, 10.0)
        finally:
            await self.found.bridge.close()
            self.found.bridge.api = None
        self.evidence = await gather(self.found)
        return judge(self.evidence)
