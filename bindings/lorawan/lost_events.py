"""Events that could not be committed and do not come again: the network server's history has them."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from math import inf

from bridge.errors import NotServedHere, StoreUnavailable

PAUSE = 5.0  # seconds after such an event until its device's history is read: often the reason is over then
TOLD = 60.0  # seconds between two times at which all nodes are told; devices of this node do not wait for that
MOST = 100_000  # devices; with more, all histories are read


class LostEvents:
    """Has the histories of such events' devices read, by the nodes that serve them."""

    def __init__(
        self, check_served: Callable[[str], Awaitable[None]], read: Callable[[str], None], read_all: Callable[[], None]
    ) -> None:
        """`check_served` raises NotServedHere for a device of another node.

        `read` has the history of one device read here; `read_all` has every node read those of all its devices.
        """
        self._check_served = check_served
        self._read = read
        self._read_all = read_all
        self._devices: dict[str, None] = {}
        self._others = False  # whether devices of other nodes are among them, or more than are kept here
        self._some = asyncio.Event()

    def add(self, device: str) -> None:
        """Record that an event about a device was not committed."""
        if len(self._devices) < MOST:
            self._devices[device] = None
        else:
            self._others = True
        self._some.set()

    async def run(self) -> None:
        """Work until cancelled."""
        now, tells_at = asyncio.get_running_loop().time, -inf
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(max(tells_at, now()) if self._others else None):
                    await self._some.wait()
            await asyncio.sleep(PAUSE)
            self._some.clear()
            await self._sort()
            if self._others and now() >= tells_at:
                self._others = False
                tells_at = now() + TOLD
                self._read_all()

    async def _sort(self) -> None:
        """Have the histories of this node's devices read; see whether there are devices of other nodes."""
        for device in [*self._devices]:
            try:
                await self._check_served(device)
            except NotServedHere:
                self._others = True
            except StoreUnavailable:  # the others are found out about later, before this one
                self._devices[device] = self._devices.pop(device)
                self._some.set()
                return
            else:
                self._read(device)
            del self._devices[device]

    def stop(self) -> None:
        """Let all nodes read histories if some were not asked for yet; `run` has ended."""
        if self._devices or self._others:
            self._read_all()
