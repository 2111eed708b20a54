"""Tells all nodes that events of any device may be lost: each reads the histories of the devices that it serves."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from bindings.contract import Memory
from bridge.errors import StoreUnavailable

EVERY = 10.0  # seconds between two looks at what other nodes tell
_KEY = "missed"  # a note of no device: who told it last, and when

log = logging.getLogger(__name__)


class Outages:
    """Calls `read_all` when this node or another one has missed events. `now` returns wall-clock seconds."""

    def __init__(self, memory: Memory, read_all: Callable[[], None], now: Callable[[], float]) -> None:
        self._memory = memory
        self._read_all = read_all
        self._now = now
        self._to_tell = asyncio.Event()

    def tell(self) -> None:
        """Read all histories, and let the other nodes do the same."""
        self._read_all()
        if self._memory.is_shared:
            self._to_tell.set()

    async def run(self) -> None:
        """Tell, and listen to other nodes, until cancelled; nothing is to be done where there are none."""
        seen: bytes | None = None
        is_first = True
        while self._memory.is_shared:
            try:
                found = await self._memory.fresh(_KEY)
                if found != seen and not is_first:  # what was told before the start, this node's start has read
                    self._read_all()
                seen, is_first = found, False
                if self._to_tell.is_set():  # after the look: the note of another node is replaced
                    self._to_tell.clear()
                    seen = await self._told()
            except StoreUnavailable as error:
                log.info("other nodes are told of missed events later: %s", error, extra={"sample": "outages"})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._to_tell.wait()

    async def stop(self) -> None:
        """Tell what was not told yet, if that is possible now; `run` has ended."""
        if self._to_tell.is_set():
            with contextlib.suppress(StoreUnavailable):
                await self._memory.put(_KEY, self._what)

    @property
    def _what(self) -> bytes:
        return f"{self._memory.node} {self._now()!r}".encode()

    async def _told(self) -> bytes:
        told = self._what
        try:
            await self._memory.put(_KEY, told)
        except BaseException as error:
            self._to_tell.set()
            if isinstance(error, StoreUnavailable):
                await asyncio.sleep(EVERY)
            raise
        return told
