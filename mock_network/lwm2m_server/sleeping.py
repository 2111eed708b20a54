"""What a server believes of clients in queue mode: awake for a while after each is heard (Transport TS 1.1 §6.5)."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator

from mock_network.lwm2m_server.profiles import Asleep, Profile


class ClientAsleep(Exception):
    """The client is asleep, and this server does not queue for it."""


class Dropped(Exception):
    """A later request replaced this one, which waited for the client to wake up."""


class Sleeping:
    """Which clients are awake, by endpoint name; `turn` holds back requests for those that are not."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._awake_until: dict[str, float] = {}
        self._heard: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._waiting: dict[str, asyncio.Event] = {}

    def heard(self, endpoint: str) -> None:
        """Record that a client registered, updated, notified or answered."""
        self._awake_until[endpoint] = asyncio.get_running_loop().time() + self._profile.awake_time
        self._heard[endpoint].set()

    def silent(self, endpoint: str) -> None:
        """Record that a client did not answer."""
        self._awake_until.pop(endpoint, None)
        self._heard[endpoint].clear()

    def awake(self, endpoint: str) -> bool:
        """Return whether a client counts as awake now."""
        return self._awake_until.get(endpoint, 0.0) > asyncio.get_running_loop().time()

    @contextlib.asynccontextmanager
    async def turn(self, endpoint: str) -> AsyncIterator[None]:
        """Wait until a request may go out to a client in queue mode, and let no other go meanwhile.

        ClientAsleep, Dropped.
        """
        while True:
            await self._wait(endpoint)
            async with self._turns[endpoint]:
                if self.awake(endpoint):  # else the one before had no answer
                    yield
                    return

    async def _wait(self, endpoint: str) -> None:
        if self.awake(endpoint):
            return
        if self._profile.asleep is Asleep.REFUSE:
            raise ClientAsleep(endpoint)
        dropped = asyncio.Event()
        if self._profile.asleep is Asleep.LAST:
            if endpoint in self._waiting:
                self._waiting[endpoint].set()
                self._heard[endpoint].set()  # wakes the one that is dropped
                await asyncio.sleep(0)
            self._waiting[endpoint] = dropped
        while not self.awake(endpoint):
            self._heard[endpoint].clear()
            await self._heard[endpoint].wait()
            if dropped.is_set():
                raise Dropped(endpoint)
        if self._waiting.get(endpoint) is dropped:
            del self._waiting[endpoint]
