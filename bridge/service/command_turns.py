"""Lets commands that move addresses run one after the other, and ends one that gives way to another.

A command that takes several shards gives way to a release as soon as it has moved one of them. One for a shard at which
it hung the last time gives way to whatever else waits. One for whose shards nobody waits any more is ended at once.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from enum import Enum, auto

from bridge.service.address_commands import Ending
from bridge.service.together import Group

YIELD = 0.5  # seconds for a command to end by itself that gives way to another one


class Purpose(Enum):
    """What a command is run for."""

    TAKE = auto()
    RELEASE = auto()


class Call:
    """A command that runs for shards of a group, and what came of it."""

    def __init__(self, purpose: Purpose, *, is_doubtful: bool = False) -> None:
        self.purpose = purpose
        self.is_doubtful = is_doubtful  # whether the command hung for this shard the last time
        self.ending = Ending()
        self.has_moved = False  # whether it has moved a shard
        self.gave_way = False  # whether it was ended for another command, or since nobody waited for it
        self.moved_nothing = False  # whether it has ended with 0, and said of no shard that it has moved


class CommandTurns:
    """One command at a time, so that the last one for a shard decides."""

    def __init__(self, others_wait: Callable[[], bool]) -> None:
        """`others_wait` returns whether shards wait for whom no turn is asked for yet."""
        self._others_wait = others_wait
        self._running = asyncio.Lock()
        self._call: Call | None = None  # the command that runs, if it may be ended
        self._waiting = 0  # those that wait for their turn
        self._releases = 0  # those of them that release shards

    @contextlib.asynccontextmanager
    async def turn(self, purpose: Purpose, *, at_once: bool = False) -> AsyncIterator[None]:
        """Let no other command run meanwhile. A release is waited for by a command that takes several shards.

        `at_once`: whatever runs gives way, also a command that has moved nothing yet.
        """
        releases = purpose is Purpose.RELEASE
        self._waiting += 1
        self._releases += releases
        try:
            if at_once and self._call is not None:
                self._call.ending.within(YIELD)
            self.give_way()
            await self._running.acquire()
        finally:
            self._waiting -= 1
            self._releases -= releases
        try:
            yield
        finally:
            self._running.release()

    @contextlib.contextmanager
    def may_end(self, purpose: Purpose, group: Group[None], *, is_doubtful: bool = False) -> Iterator[Call]:
        """Yield the call of a command that is run meanwhile, within its turn, for a group.

        When nobody of the group waits any more, it is ended at once. `is_doubtful`: the command hung for this shard
        the last time.
        """
        call = self._call = Call(purpose, is_doubtful=is_doubtful)
        group.when_left = lambda: call.ending.within(0.0)
        self.give_way()
        try:
            yield call
        finally:
            self._call = group.when_left = None

    def has_moved(self) -> None:
        """Note that the command that runs has moved a shard."""
        if self._call is not None:
            self._call.has_moved = True
            self.give_way()

    def give_way(self) -> None:
        """End the command that runs soon, if something waits that goes before it.

        One that takes several shards, if a release waits: not before it has moved one, or none would. One that moves
        none is ended when it has been silent for too long. One for a shard for which it hung, if anything waits.
        """
        call = self._call
        if call is None:
            return
        takes = self._releases and call.purpose is Purpose.TAKE and call.has_moved
        if takes or (call.is_doubtful and (self._waiting or self._others_wait())):
            call.ending.within(YIELD)
