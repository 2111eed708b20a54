"""Devices that the network reported as unreachable, until they are heard or reported as reachable.

Each has a durable note, so that a restart does not forget what was reported once.
"""

import asyncio
import logging

import msgspec

from bindings.contract import DeviceState, Memory
from bridge.errors import StoreUnavailable

log = logging.getLogger(__name__)

_LOST = "l/"
_AGAIN = 1.0  # seconds after which notes that could not be read are read again
_KEPT = 4096  # devices; of more, those that were reported last
_HEARD = 4096  # devices of which it is known when they were heard, so that an old report says nothing

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(DeviceState).decode


class LostDevices:
    """The devices of one network instance of which the latest report is that they cannot be reached."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._lost: dict[str, DeviceState] = {}  # the one reported last at the end
        self._heard: dict[str, float] = {}
        self._writing: set[asyncio.Task[None]] = set()
        self._reading: asyncio.Task[None] | None = None
        self._is_old = False  # whether notes are to be read that another node may have written
        self._moved: set[str] = set()  # devices that came or left while notes are read: what was read may be old

    def __len__(self) -> int:
        return len(self._lost)

    async def load(self) -> None:
        """Read what was reported before a restart, or to another node. Raises StoreUnavailable."""
        self._moved.clear()
        async for key, raw in self._memory.items(_LOST):
            device = key.removeprefix(_LOST)
            try:
                state = _decode(raw)
            except msgspec.MsgspecError:
                await self._memory.put(key, None, device)
                continue
            if device in self._moved:
                continue  # its node reads it again
            if self._heard.get(device, 0.0) > state.since:  # while this was read
                self._remove(device)
            else:
                self._lost.setdefault(device, state)
        self._bound()

    def device_came(self, device: str) -> None:
        """Forget what is cached of a device that another node has served so far."""
        self._moved.add(device)
        self._lost.pop(device, None)
        self._heard.pop(device, None)

    def device_left(self, device: str) -> None:
        """Forget what is cached of a device that another node serves from now on."""
        self.device_came(device)

    def read_again(self) -> None:
        """Read in the background what another node has noted of devices that came.

        The read is repeated until it succeeds.
        """
        self._is_old = True
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
            self._writing.add(self._reading)

    async def _read(self) -> None:
        try:
            while self._is_old:
                self._is_old = False
                try:
                    await self.load()
                except StoreUnavailable as error:
                    self._is_old = True
                    log.warning(
                        "reports on devices that cannot be reached cannot be read: %s",
                        error,
                        extra={"sample": "lost devices"},
                    )
                    await asyncio.sleep(_AGAIN)
        finally:
            if self._reading is not None:
                self._writing.discard(self._reading)
            self._reading = None

    def of(self, device: str) -> DeviceState | None:
        """Return the latest report that a device cannot be reached; None: none, or it was heard since."""
        return self._lost.get(device)

    async def lost(self, device: str, state: DeviceState) -> None:
        """Record a report that a device cannot be reached, unless the device was heard after it.

        Raises StoreUnavailable.
        """
        if self._heard.get(device, 0.0) > state.since:
            return
        self._lost.pop(device, None)
        self._lost[device] = state
        await self._memory.put(_LOST + device, _encode(state), device)
        self._bound()

    def heard(self, device: str, now: float) -> None:
        """Record that a device was heard, or can be reached. Its note is removed in the background."""
        self._heard.pop(device, None)
        self._heard[device] = now
        if len(self._heard) > _HEARD:
            del self._heard[next(iter(self._heard))]
        if self._lost.pop(device, None) is not None:
            self._remove(device)

    async def forget(self, device: str) -> None:
        """Remove what is known of a device. Raises StoreUnavailable."""
        self._heard.pop(device, None)
        if self._lost.pop(device, None) is not None:
            await self._memory.put(_LOST + device, None, device)

    async def stop(self) -> None:
        """Return when no note is being written."""
        if self._reading is not None:
            self._reading.cancel()
        if self._writing:
            await asyncio.wait(self._writing)

    def _bound(self) -> None:
        while len(self._lost) > _KEPT:
            oldest = next(iter(self._lost))
            del self._lost[oldest]
            self._remove(oldest)

    def _remove(self, device: str) -> None:
        task = asyncio.create_task(self._put_none(device))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _put_none(self, device: str) -> None:
        try:
            await self._memory.put(_LOST + device, None, device)
        except StoreUnavailable as error:  # it may be shown once more after a restart, until the device is heard
            log.warning(
                "a report on device %s could not be removed: %s", device, error, extra={"sample": "lost device"}
            )
            return
        state = self._lost.get(device)
        if state is not None:  # reported again meanwhile
            await self._memory.put(_LOST + device, _encode(state), device)
