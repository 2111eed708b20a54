"""Traffic in both directions, and a bridge that is killed in it; what the network is, subclasses say."""

import abc
import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Coroutine
from typing import Any

from bridge.service.crash_points import POINTS, VARIABLE as CRASH_POINT
from mock_network.clock.mapping import Mapping
from mock_network.lab import Api, Bridge, Lab, ProcessEnded
from tests.durability.judge import Evidence, Fault, judge, read_ledger
from tests.durability.story import Happening
from tests.e2e.kit import until

SETTLED_WITHIN = 120.0  # seconds of real time: only a limit, also on a busy machine
LOOKED_EVERY = 0.1  # seconds of real time
STILL = 30  # looks at the ledger in which nothing has moved: nothing more will
JUMP = 50.0  # virtual seconds that the clock jumps at once while devices wait: so late may a timer of theirs be


class Traffic(abc.ABC):
    """Devices of one set-up, and all that server and devices have begun."""

    over_after = 300.0  # seconds of virtual time until every deadline of what was begun has passed
    answered_after = 600.0  # seconds of virtual time in which everything that was begun gets its answer
    rests = 0  # looks at the ledger in which nothing has moved, before time jumps
    leap = 2.0  # seconds of virtual time that it then jumps

    def __init__(self, lab: Lab, devices: tuple[str, ...]) -> None:
        self.lab = lab
        self.devices = devices
        self.begun: list[asyncio.Task[Any]] = []
        self.answers: list[Any] = []
        self.evidence: list[Evidence] = []
        self.chronicle: list[Happening] = []  # lives of the bridge and jumps of the clock
        self._numbers = itertools.count(1)
        self._counts: Any = None  # of the ledger's rows, at the last look
        self._rested = 0

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
        """Let time jump while answers are awaited, but only when nothing moves before the next time limit."""
        self._rested = 0 if await self.moves() else self._rested + 1
        if self._rested >= self.rests:
            await self.pass_time(self.leap)
            self._rested = 0

    async def now(self) -> float:
        """Return the virtual time."""
        assert self.lab.clock_api is not None
        return Mapping.from_json(await self.lab.clock_api.get("/")).wall(time.monotonic())

    async def note(self, what: str) -> None:
        """Enter into the chronicle what happens now."""
        self.chronicle.append(Happening(await self.now(), what))

    async def jump(self, seconds: float) -> None:
        """Let virtual time jump at once, while no device waits for an answer."""
        await self.note(f"the clock jumps by {seconds:g} s")
        await self.lab.step(seconds)

    async def pass_time(self, seconds: float) -> None:
        """Let virtual time jump, so that no timer of a device is late by more than JUMP."""
        await self.note(f"the clock jumps by {seconds:g} s")
        while seconds > 0:
            await self.lab.step(min(seconds, JUMP))
            await self.noticed()
            seconds -= JUMP

    async def noticed(self) -> None:
        """Return when devices and networks have done what was due."""
        await self.device_api.get("/devices")

    async def moves(self) -> bool:
        """Return whether rows of the ledger have changed since the last look; devices and networks had their turn."""
        await self.noticed()
        counts = await self.counts()
        before, self._counts = self._counts, counts
        return bool(counts != before)

    async def counts(self) -> Any:
        """Return how many rows the ledger has in each state."""
        return await self.bridge.ask("message.count")

    async def start(self, point: str = "") -> None:
        """Start the bridge; `point` is where it is to end by itself."""
        await self.note(f"the bridge starts, to end at {point!r}" if point else "the bridge starts")
        await self.bridge.start({CRASH_POINT: point} if point else None)

    async def kill(self) -> None:
        """Kill the bridge."""
        self.bridge.process.kill()
        await self.note("the bridge is killed")

    def begin(self) -> None:
        """Begin operations on each device."""
        for name in self.devices:
            self.begun += [asyncio.ensure_future(one) for one in self.operations(name, next(self._numbers))]

    async def lives(self, points: list[str], kills: int, seed: int) -> list[Fault]:
        """Let the bridge end at each of the points, then at random; then let it live. Gives the judge's verdict."""
        rng = random.Random(seed)
        await self.prepare()
        await self.kill()
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
            await self.start(point)
        except ProcessEnded:
            pass  # what an earlier life left was enough to get there
        else:
            for _ in range(5):
                self.begin()
                if await self._ends():
                    break
        assert not bridge.process.running, f"{point} was not reached"
        assert await bridge.process.ended() == -9
        await self.note("the bridge has ended there")

    async def _ends(self) -> bool:
        """Wait until the bridge has ended; return False once it does nothing more for what was begun."""
        still = 0
        while still < STILL:
            try:
                await asyncio.wait_for(self.bridge.process.ended(), LOOKED_EVERY)
            except TimeoutError:
                with contextlib.suppress(OSError, ProcessEnded):  # it ends just now
                    still = 0 if await self.moves() else still + 1
            else:
                return True
        return False

    async def _short_life(self, rng: random.Random) -> None:
        """Start the bridge and kill it at any moment of its traffic."""
        await self.start()
        self.begin()
        await self.live(rng.uniform(0.0, 0.5), rng)
        await self.kill()

    async def _calm_life(self, *, traffic: bool = False) -> None:
        """Start the bridge, let it work off what waits, and kill it: else full queues would refuse all that follows.

        With `traffic`, operations on each device begin once that is done, and are worked off, too.
        """
        await self.start()
        await self._answered()
        if traffic:
            self.begin()
            await self._answered()
        await self.kill()

    async def _answered(self) -> None:
        """Wait until all that was begun is answered. How long that may take is virtual time, not the machine's."""
        end = await self.now() + self.answered_after
        while not all(task.done() for task in self.begun):
            assert await self.now() < end, f"no answer within {self.answered_after} virtual seconds"
            await self.hurry()
            await asyncio.sleep(LOOKED_EVERY)

    async def settle(self) -> list[Fault]:
        """Start it for good, wait for all answers, let all deadlines pass, end it and return the judge's verdict."""
        await self.start()
        await self._answered()
        self.answers = [task.result() for task in self.begun if not task.cancelled()]
        await self.jump(self.over_after)
        end = await self.now() + self.over_after  # some deadlines begin only where another passes

        async def over() -> bool:
            counts = await self.counts()
            open_ = [c for c in counts["downlinks"] if not c["over"]]
            open_ += [c for c in counts["uplinks"] if c["state"] == "RECEIVED"]
            if open_ and await self.now() < end:
                await self.pass_time(self.leap)
            return not open_

        try:
            await until(over, SETTLED_WITHIN, "a message has no outcome")
        finally:
            await self.bridge.close()
            self.bridge.api = None
        self.evidence = await self.gather()
        for seen in self.evidence:
            read_ledger(seen, self.lab.directory / "bridge.db")
        return [fault for seen in self.evidence for fault in judge(seen)]
