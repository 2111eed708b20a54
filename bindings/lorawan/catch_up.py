"""Recovers missed events from the network server's history, device by device and paced."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Collection
from copy import copy
from typing import Any

from bindings.contract import Events
from bindings.lorawan import network_events as net
from bindings.lorawan.notes import DeviceNote, DeviceNotes
from bindings.lorawan.provider import DeviceSnapshot, Provider
from bindings.lorawan.replay import Replay
from bindings.lorawan.settings import LorawanSettings
from bridge.errors import BridgeError, CallFailed, CallTrouble, NotServedHere, StoreUnavailable

log = logging.getLogger(__name__)

FIRST_RETRY = 10.0  # seconds until a history that could not be read is read again; doubles
LONGEST_RETRY = 600.0  # seconds
_FAILED = 100_000  # devices that wait to be read again; the rest is read after the next outage
_CAME = 100_000  # devices that came from other nodes and wait to be read; with more, all are read
_BUG = {"sample": "lorawan catch-up bug"}


class CatchUp:
    """One run over all devices at a time; a further outage during a run restarts it.

    Devices whose history could not be read completely are read again, after a growing pause.
    """

    def __init__(
        self, settings: LorawanSettings, provider: Provider, records: DeviceNotes, replay: Replay, events: Events
    ) -> None:
        self._settings = settings.catch_up
        self._provider = provider
        self._records = records
        self._replay = replay
        self._events = events
        self._run: asyncio.Task[None] | None = None
        self._asking: dict[asyncio.Task[None], str] = {}  # and their devices
        self._wants_all = False
        self._came: dict[str, None] = {}  # devices to read, beside those of an outage
        self._more = asyncio.Event()
        self._failed: dict[str, None] = {}  # in the order of their failures
        self._gate = asyncio.Semaphore(settings.catch_up.parallelism)
        self.devices = 0
        self.runs = 0
        self.last_error = ""

    def all_devices(self) -> None:
        """Read the histories of all devices, soon."""
        self._wants_all = True
        self._begin()

    def device_came(self, device: str) -> None:
        """Read the history of a device soon: the node that served it may have ended before it had read all."""
        if len(self._came) < _CAME:
            self._came[device] = None
        else:
            self._wants_all = True
        self._begin()

    def _begin(self) -> None:
        if not self._settings.enabled:
            return
        self._more.set()
        if self._run is None or self._run.done():
            self._run = asyncio.create_task(self._work())

    async def release(self, devices: Collection[str]) -> None:
        """Read no histories of these devices any more; return when none is being read."""
        for device in devices:
            self._came.pop(device, None)
            self._failed.pop(device, None)
        await _end([task for task, device in self._asking.items() if device in devices])

    async def stop(self) -> None:
        """Read no more; what was not read is read after the next start."""
        await _end([*self._asking, *([self._run] if self._run is not None else [])])

    def status(self) -> dict[str, Any]:
        """Return its progress, as JSON values."""
        running = self._run is not None and not self._run.done()
        report: dict[str, Any] = {"running": running, "runs": self.runs, "devices": self.devices}
        if self._failed:
            report |= {"failed": len(self._failed), "last_error": self.last_error}
        return report

    async def _work(self) -> None:
        pause = FIRST_RETRY
        while self._wants_all or self._came or self._failed:
            self._more.clear()
            try:
                if self._wants_all:
                    await self._all()
                    pause = FIRST_RETRY
                elif self._came:
                    came, self._came = self._came, {}
                    await self._each(_one_by_one(list(came)))
                else:
                    await self._wait(pause)
                    pause = min(2 * pause, LONGEST_RETRY)
                    if not (self._wants_all or self._came):
                        await self._each(_one_by_one(list(self._failed)))
            except StoreUnavailable as error:
                log.warning(
                    "the devices whose histories are to be read cannot be listed: %s; the bridge tries again", error
                )
                await asyncio.sleep(pause)
            except Exception:
                log.exception(
                    "histories of devices could not be read because of a bug in the bridge; they are read again later",
                    extra=_BUG,
                )
                self._events.count("lorawan_internal_errors")
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_RETRY)

    async def _all(self) -> None:
        """Read the histories of all devices. Raises StoreUnavailable: then they are still to be read."""
        self._wants_all = False
        self._failed.clear()
        self._came.clear()
        try:
            await self._each(self._records.devices())
        except Exception:
            self._wants_all = True
            raise
        self.runs += 1

    async def _wait(self, pause: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._more.wait()

    async def _each(self, devices: AsyncIterator[str]) -> None:
        async for device in devices:
            task = asyncio.create_task(self._quietly(device))
            self._asking[task] = device
            task.add_done_callback(self._asked)
            if len(self._asking) >= 2 * self._settings.parallelism:
                await asyncio.wait(self._asking, return_when=asyncio.FIRST_COMPLETED)
        if self._asking:
            await asyncio.wait(self._asking)

    def _asked(self, task: asyncio.Task[None]) -> None:
        del self._asking[task]

    async def _quietly(self, device: str) -> None:
        try:
            await self.device(device)
            self._failed.pop(device, None)
        except NotServedHere:
            self._failed.pop(device, None)  # whoever serves it now reads its history
        except BridgeError as error:
            if isinstance(error, CallFailed) and error.trouble is CallTrouble.NOT_FOUND:
                self._failed.pop(device, None)  # the network server does not have the device, nor its history
                return
            log.warning(
                "the history of device %s could not be read: %s; the bridge tries again",
                device,
                error,
                extra={"sample": "lorawan catch-up"},
            )
            self._read_later(device, error)
        except Exception as bug:
            log.exception(
                "the history of device %s could not be read because of a bug in the bridge; it is read again later",
                device,
                extra=_BUG,
            )
            self._events.count("lorawan_internal_errors")
            self._read_later(device, bug)

    def _read_later(self, device: str, error: Exception) -> None:
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
            snapshot = await self._provider.snapshot(device)
            before = copy(await self._records.get(device) or DeviceNote())
            try:
                if not await self._read(device, found, before, expected=before.highest >= 0):
                    failed = await self._unfinished(device, found, snapshot)
            except CallFailed as error:
                failed = error
        await self._replay.process(device, found, snapshot, before)
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
                if isinstance(event, net.DataUplink) and await self._heard_since(before, event):
                    return True
                found.append(event)
        return False

    async def _unfinished(
        self, device: str, found: list[net.NetworkEvent], snapshot: DeviceSnapshot
    ) -> CallFailed | None:
        """Return what is wrong if a history is incomplete.

        Silence does not prove the end: a proxy may hold events back. The history is complete if the last uplink that
        the network server had accepted before is in it, or known to the bridge.
        """
        session, last_seen_at = snapshot.session, snapshot.server_record.last_seen_at
        if session is None or last_seen_at is None or session.f_cnt_up == 0:
            return None  # the session has no uplink
        last = session.f_cnt_up - 1
        if any(
            isinstance(one, net.DataUplink) and (one.dev_addr, one.f_cnt) == (session.dev_addr, last) for one in found
        ):
            return None
        record = await self._records.get(device)
        if record is not None and record.dev_addr == session.dev_addr and record.has_seen(last):
            return None
        text = f"it ends before the last uplink (FCnt {last}), after {len(found)} events: {self._provider.why_cut_off}"
        return CallFailed(CallTrouble.OUT_OF_REACH, text, unsure=False)

    async def _heard_since(self, before: DeviceNote, event: net.DataUplink) -> bool:
        record = await self._records.get(event.device)
        if record is None or record.dev_addr != event.dev_addr or not record.has_seen(event.f_cnt):
            return False
        return event.dev_addr != before.dev_addr or event.f_cnt > before.highest


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _one_by_one(devices: list[str]) -> AsyncIterator[str]:
    for device in devices:
        yield device
