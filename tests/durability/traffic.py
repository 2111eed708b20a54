"""Traffic in both directions, and a bridge that is killed in it; what the network is, subclasses say."""

import abc
import asyncio
import itertools
import random
from collections.abc import Coroutine
from typing import Any

from bridge.service.crash_points import POINTS, VARIABLE as CRASH_POINT
from mock_network.lab import Api, Bridge, Lab, ProcessEnded
from tests.durability.judge import Evidence, judge, read_ledger
from tests.e2e.kit import until

SETTLED_WITHIN = 60.0  # seconds of real time
POINT_REACHED_WITHIN = 15.0


class Traffic(abc.ABC):
    """Devices of one set-up, and all that server and devices have begun."""

    over_after = 300.0  # seconds of virtual time until every deadline of what was begun has passed

    def __init__(self, lab: Lab, devices: tuple[str, ...]) -> None:
        self.lab = lab
        self.devices = devices
        self.begun: list[asyncio.Task[Any]] = []
        self.answers: list[Any] = []
        self.evidence: list[Evidence] = []
        self._numbers = itertools.count(1)

    @property
    def bridge(self) -> Bridge:
        assert self.lab.bridge is not None
        return self.lab.bridge

    @property
    def device_api(self) -> Api:
        assert self.lab.devices is not None
        return self.lab.devices

    @abc.abstractmethod
    async def prepare(self) -> None:
        """Register the devices and observe them."""

    @abc.abstractmethod
    def operations(self, name: str, number: int) -> list[Coroutine[Any, Any, Any]]:
        """Return operations of each kind, in both directions, on a device; what is in them is of this number alone."""

    @abc.abstractmethod
    async def gather(self) -> list[Evidence]:
        """Return what server, network and radio have seen, of each network apart."""

    async def live(self, seconds: float, _rng: random.Random) -> None:
        """Let the bridge run for so many seconds; subclasses let more happen to it."""
        await asyncio.sleep(seconds)

    async def executed(self, name: str) -> list[dict[str, Any]]:
        """Return what a device has carried out."""
        found: list[dict[str, Any]] = await self.device_api.get(f"/devices/{name}/operations")
        return found

    async def hurry(self) -> None:
        """Let time pass while answers are awaited."""
        await self.lab.step(2.0)

    def begin(self) -> None:
        """Begin operations on each device."""
        for name in self.devices:
            self.begun += [asyncio.ensure_future(one) for one in self.operations(name, next(self._numbers))]

    async def lives(self, points: list[str], kills: int, seed: int) -> list[str]:
        """Let the bridge end at each of the points, then at random; then let it live. Gives the judge's verdict."""
        rng = random.Random(seed)
        await self.prepare()
        self.bridge.process.kill()
        for number, point in enumerate(points):
            if number and number % len(POINTS) == 0:
                await self._calm_life()
            await self._life(point)
        for number in range(kills):
            if number and number % 10 == 0:
                await self._calm_life()
            await self._short_life(rng)
        await self._calm_life(traffic=True)  # so that each device has something to carry out, whatever the kills left
        return await self.settle()

    async def _life(self, point: str) -> None:
        """Start the bridge, and let traffic take it to a named crash point, where it ends."""
        bridge = self.bridge
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

    async def _short_life(self, rng: random.Random) -> None:
        """Start the bridge and kill it at any moment of its traffic."""
        await self.bridge.start()
        self.begin()
        await self.live(rng.uniform(0.0, 0.5), rng)
        self.bridge.process.kill()

    async def _calm_life(self, *, traffic: bool = False) -> None:
        """Start the bridge, let it work off what waits, and kill it: else full queues would refuse all that follows.

        With `traffic`, operations on each device begin once that is done, and are worked off, too.
        """
        await self.bridge.start()
        await self._answered()
        if traffic:
            self.begin()
            await self._answered()
        self.bridge.process.kill()

    async def _answered(self) -> None:
        async def answered() -> bool:
            if all(task.done() for task in self.begun):
                return True
            await self.hurry()
            await asyncio.sleep(0.1)
            return False

        await until(answered, SETTLED_WITHIN, "a request has no answer")

    async def settle(self) -> list[str]:
        """Start it for good, wait for all answers, let all deadlines pass, end it, and give the judge's verdict."""
        await self.bridge.start()
        await self._answered()
        self.answers = [task.result() for task in self.begun if not task.cancelled()]
        await self.lab.step(self.over_after)

        async def over() -> bool:
            counts = await self.bridge.ask("message.count")
            open_ = [c for c in counts["downlinks"] if not c["over"]]
            open_ += [c for c in counts["uplinks"] if c["state"] == "RECEIVED"]
            return not open_

        try:
            await until(over, 10.0)
        finally:
            await self.bridge.close()
            self.bridge.api = None
        self.evidence = await self.gather()
        for seen in self.evidence:
            read_ledger(seen, self.lab.directory / "bridge.db")
        return [fault for seen in self.evidence for fault in judge(seen)]
