"""Events that were missed, out of the network server's own history, device by device and paced."""

import asyncio
import contextlib
import logging
from typing import Any

from bindings.contract import Events
from bindings.lorawan import network_events as net
from bindings.lorawan.inbound import Inbound
from bindings.lorawan.provider import Provider
from bindings.lorawan.records import Record, Records
from bindings.lorawan.settings import LorawanSettings
from bridge.errors import BridgeError, CallFailed

log = logging.getLogger(__name__)


class CatchUp:
    """One run over all devices at a time; a further outage during a run begins it anew."""

    def __init__(
        self, settings: LorawanSettings, provider: Provider, records: Records, inbound: Inbound, events: Events
    ) -> None:
        self._settings = settings.catch_up
        self._provider = provider
        self._records = records
        self._inbound = inbound
        self._events = events
        self._run: asyncio.Task[None] | None = None
        self._asking: set[asyncio.Task[None]] = set()
        self._again = False
        self._gate = asyncio.Semaphore(settings.catch_up.parallelism)
        self.devices = 0
        self.runs = 0

    def all_devices(self) -> None:
        """Read the histories of all devices, soon."""
        if not self._settings.enabled:
            return
        if self._run is not None and not self._run.done():
            self._again = True
            return
        self._run = asyncio.create_task(self._all())

    async def stop(self) -> None:
        """Read no more; what was not read is read after the next start."""
        tasks = [*self._asking, *([self._run] if self._run is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def status(self) -> dict[str, Any]:
        """Return how far it is, as plain JSON values."""
        running = self._run is not None and not self._run.done()
        return {"running": running, "runs": self.runs, "devices": self.devices}

    async def _all(self) -> None:
        while True:
            self._again = False
            async for device in self._records.devices():
                task = asyncio.create_task(self._quietly(device))
                self._asking.add(task)
                task.add_done_callback(self._asking.discard)
                if len(self._asking) >= 2 * self._settings.parallelism:
                    await asyncio.wait(self._asking, return_when=asyncio.FIRST_COMPLETED)
            if self._asking:
                await asyncio.wait(self._asking)
            self.runs += 1
            if not self._again:
                return

    async def _quietly(self, device: str) -> None:
        try:
            await self.device(device)
        except BridgeError as error:
            log.info("no history of %s: %s", device, error, extra={"sample": "lorawan catch-up"})
            self._events.count("lorawan_catch_up_failures")

    async def device(self, device: str) -> None:
        """Take what is retained of one device's events, in their order; also the part before a failure.

        Raises CallFailed, StoreUnavailable.
        """
        record = await self._records.get(device)
        expected = record is not None and record.seen_at > 0
        found: list[net.NetworkEvent] = []
        failed: CallFailed | None = None
        async with self._gate:
            try:
                await self._read(device, found, expected=expected)
                self.devices += 1
            except CallFailed as error:
                failed = error
        # Where the wall clock says nothing, the order of the history is kept.
        for event in sorted(found, key=lambda one: one.time):
            await self._inbound.take_replayed(event)
        if failed is not None:
            raise failed

    async def _read(self, device: str, found: list[net.NetworkEvent], *, expected: bool) -> None:
        """Read what is retained into `found`, up to the first uplink that came live meanwhile: so does what follows it.

        A device that is busy would else never be done: the history goes on with what happens now.
        """
        before = _latest(await self._records.get(device))
        async with contextlib.aclosing(self._provider.history(device, expected=expected)) as history:
            async for event in history:
                if isinstance(event, net.Up) and await self._came_since(before, event):
                    break
                found.append(event)

    async def _came_since(self, before: tuple[str, int], event: net.Up) -> bool:
        record = await self._records.get(event.device)
        if record is None or record.dev_addr != event.dev_addr or not record.has_seen(event.f_cnt):
            return False
        dev_addr, highest = before
        return event.dev_addr != dev_addr or event.f_cnt > highest


def _latest(record: Record | None) -> tuple[str, int]:
    """Return the session that is known, and its latest counter."""
    return ("", -1) if record is None else (record.dev_addr, record.highest)
