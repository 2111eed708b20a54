"""Recovers missed events from the network server's history, device by device and paced."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from copy import copy
from typing import Any

from bindings.contract import Events
from bindings.lorawan import network_events as net
from bindings.lorawan.provider import Provider, Sight
from bindings.lorawan.records import DeviceNote, Records
from bindings.lorawan.replay import Replay
from bindings.lorawan.settings import LorawanSettings
from bridge.errors import BridgeError, CallFailed, CallTrouble

log = logging.getLogger(__name__)

FIRST_RETRY = 10.0  # seconds until a history that could not be read is read again; doubles
LONGEST_RETRY = 600.0  # seconds
_FAILED = 100_000  # devices that wait to be read again; the rest is read after the next outage


class CatchUp:
    """One run over all devices at a time; a further outage during a run restarts it.

    Devices whose history could not be read completely are read again, after a growing pause.
    """

    def __init__(
        self, settings: LorawanSettings, provider: Provider, records: Records, replay: Replay, events: Events
    ) -> None:
        self._settings = settings.catch_up
        self._provider = provider
        self._records = records
        self._replay = replay
        self._events = events
        self._run: asyncio.Task[None] | None = None
        self._asking: set[asyncio.Task[None]] = set()
        self._again = False
        self._outage = asyncio.Event()
        self._failed: dict[str, None] = {}  # in the order of their failures
        self._gate = asyncio.Semaphore(settings.catch_up.parallelism)
        self.devices = 0
        self.runs = 0
        self.last_error = ""

    def all_devices(self) -> None:
        """Read the histories of all devices, soon."""
        if not self._settings.enabled:
            return
        if self._run is not None and not self._run.done():
            self._again = True
            self._outage.set()
            return
        self._run = asyncio.create_task(self._all())

    async def stop(self) -> None:
        """Read no more; what was not read is read after the next start."""
        tasks = [*self._asking, *([self._run] if self._run is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def status(self) -> dict[str, Any]:
        """Return its progress, as JSON values."""
        running = self._run is not None and not self._run.done()
        report: dict[str, Any] = {"running": running, "runs": self.runs, "devices": self.devices}
        if self._failed:
            report |= {"failed": len(self._failed), "last_error": self.last_error}
        return report

    async def _all(self) -> None:
        pause = FIRST_RETRY
        while True:
            self._again = False
            self._failed.clear()
            await self._each(self._records.devices())
            self.runs += 1
            pause = FIRST_RETRY
            while self._failed and not self._again:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._outage.wait()
                self._outage.clear()
                pause = min(2 * pause, LONGEST_RETRY)
                if not self._again:
                    await self._each(_one_by_one(list(self._failed)))
            if not self._again:
                return

    async def _each(self, devices: AsyncIterator[str]) -> None:
        async for device in devices:
            task = asyncio.create_task(self._quietly(device))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
            if len(self._asking) >= 2 * self._settings.parallelism:
                await asyncio.wait(self._asking, return_when=asyncio.FIRST_COMPLETED)
        if self._asking:
            await asyncio.wait(self._asking)

    async def _quietly(self, device: str) -> None:
        try:
            await self.device(device)
            self._failed.pop(device, None)
        except BridgeError as error:
            if isinstance(error, CallFailed) and error.trouble is CallTrouble.NOT_FOUND:
                self._failed.pop(device, None)  # the network server does not have the device, nor its history
                return
            log.warning(
                "the history of %s could not be read: %s; the bridge tries again",
                device,
                error,
                extra={"sample": "lorawan catch-up"},
            )
            self._events.count("lorawan_catch_up_failures")
            self.last_error = f"{device}: {error}"
            if device in self._failed or len(self._failed) < _FAILED:
                self._failed[device] = None

    async def device(self, device: str) -> None:
        """Process the retained events of one device, in their order; also the part before a failure.

        Raises CallFailed, StoreUnavailable.
        """
        found: list[net.NetworkEvent] = []
        failed: CallFailed | None = None
        async with self._gate:
            sight = await self._provider.sight(device)
            before = copy(await self._records.get(device) or DeviceNote())
            try:
                if not await self._read(device, found, before, expected=before.highest >= 0):
                    failed = await self._unfinished(device, found, sight)
            except CallFailed as error:
                failed = error
        await self._replay.take(device, found, sight, before)
        if failed is not None:
            raise failed
        self.devices += 1

    async def _read(self, device: str, found: list[net.NetworkEvent], before: DeviceNote, *, expected: bool) -> bool:
        """Read the retained events into `found`, until nothing more comes.

        Return True if it reached the first uplink that came live meanwhile: the rest comes live, too. Otherwise
        a busy device would never be done, since the history continues with new events.
        """
        async with contextlib.aclosing(self._provider.history(device, expected=expected)) as history:
            async for event in history:
                if isinstance(event, net.Up) and await self._heard_since(before, event):
                    return True
                found.append(event)
        return False

    async def _unfinished(self, device: str, found: list[net.NetworkEvent], sight: Sight) -> CallFailed | None:
        """Return what is wrong if a history is incomplete.

        Silence does not prove the end: a proxy may hold events back. The history is complete if the last uplink that
        the network server had accepted before is in it, or known to the bridge.
        """
        session, last_seen_at = sight.session, sight.standing.last_seen_at
        if session is None or last_seen_at is None or session.f_cnt_up == 0:
            return None  # the session has no uplink
        last = session.f_cnt_up - 1
        if any(isinstance(one, net.Up) and (one.dev_addr, one.f_cnt) == (session.dev_addr, last) for one in found):
            return None
        record = await self._records.get(device)
        if record is not None and record.dev_addr == session.dev_addr and record.has_seen(last):
            return None
        text = f"it ends before the last uplink (FCnt {last}), after {len(found)} events: {self._provider.why_cut_off}"
        return CallFailed(CallTrouble.OUT_OF_REACH, text, unsure=False)

    async def _heard_since(self, before: DeviceNote, event: net.Up) -> bool:
        record = await self._records.get(event.device)
        if record is None or record.dev_addr != event.dev_addr or not record.has_seen(event.f_cnt):
            return False
        return event.dev_addr != before.dev_addr or event.f_cnt > before.highest


async def _one_by_one(devices: list[str]) -> AsyncIterator[str]:
    for device in devices:
        yield device
