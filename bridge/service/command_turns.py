"""Lets commands that move addresses run one after the other, and ends one that gives way to another.

A command that takes several shards gives way to a release as soon as it has moved one of them. One for whose shards
nobody waits any more is ended at once.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
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

    def __init__(self, purpose: Purpose) -> None:
        self.purpose = purpose
        self.ending = Ending()
        self.has_moved = False  # whether it has moved a shard
        self.gave_way = False  # whether it was ended for another command, or since nobody waited for it
        self.moved_nothing = False  # whether it has ended with 0, and said of no shard that it has moved


class CommandTurns:
    """One command at a time, so that the last one for a shard decides."""

    def __init__(self) -> None:
        self._running = asyncio.Lock()
        self._call: Call | None = None  # the command that runs, if it may be ended
        self._waiting = 0  # releases that wait for their turn

    @contextlib.asynccontextmanager
    async def turn(self, purpose: Purpose, *, at_once: bool = False) -> AsyncIterator[None]:
        """Let no other command run meanwhile. A release is waited for by a command that takes several shards.

        `at_once`: whatever runs gives way, also a command that has moved nothing yet.
        """
        releases = purpose is Purpose.RELEASE
        self._waiting += releases
        try:
            if at_once and self._call is not None:
                self._call.ending.within(YIELD)
            self._give_way()
            await self._running.acquire()
        finally:
            self._waiting -= releases
        try:
            yield
        finally:
            self._running.release()

    @contextlib.contextmanager
    def may_end(self, purpose: Purpose, group: Group[None]) -> Iterator[Call]:
        """Yield the call of a command that is run meanwhile, within its turn, for a group.

        When nobody of the group waits any more, it is ended at once.
        """
        call = self._call = Call(purpose)
        group.when_left = lambda: call.ending.within(0.0)
        try:
            yield call
        finally:
            self._call = group.when_left = None

    def has_moved(self) -> None:
        """Note that the command that runs has moved a shard."""
        if self._call is not None:
            self._call.has_moved = True
            self._give_way()

    def _give_way(self) -> None:
        """End a command soon that takes several shards, if a release waits: not before it has moved one, or none would.

        A command that moves none is ended when it has been silent for too long.
        """
        call = self._call
        if self._waiting and call is not None and call.purpose is Purpose.TAKE and call.has_moved:
            call.ending.within(YIELD)
