"""Device profiles, read from the network server: parameters of sizes, and whether a join flushes the queue."""

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from typing import Any

from bindings.contract import Events
from bindings.lorawan.notes import DeviceNotes
from bindings.lorawan.provider import Provider
from bindings.lorawan.troubles import provisioned_event, trouble_in, trouble_of
from bridge.errors import BridgeError, CallFailed, CallTrouble, NotServedHere

log = logging.getLogger(__name__)

REFRESH_EVERY = 600.0  # seconds: an operator may change a profile
RETRY_AFTER = 60.0  # seconds until a profile that could not be read is read again
KNOWN = 1000  # profiles whose time of reading is remembered; the first read is forgotten first
_FETCHES = 100  # profiles that wait to be read; others are read with a later uplink
_AT_ONCE = 4
_WAITING = 100_000  # devices that wait to be read; the rest is read with uplinks
_LASTING = {CallTrouble.INVALID, CallTrouble.UNSUPPORTED}
_REFRESHED = 1000  # devices read together after an outage


class Profiles:
    """The profiles of one network instance's devices."""

    def __init__(self, provider: Provider, records: DeviceNotes, events: Events) -> None:
        self._provider = provider
        self._records = records
        self._events = events
        self._ask_at: dict[str, float] = {}  # profiles, and when each must be read again
        self._fetching: dict[str, str] = {}  # profiles that are being read or wait for it, with their region
        self._waiting: dict[str, None] = {}  # devices, those that failed last at the end
        self._tasks: set[asyncio.Task[None]] = set()
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def stop(self) -> None:
        """Stop reading; the rest is read after the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def learn(self, device: str) -> None:
        """Read a device's profile and class, soon."""
        if device not in self._waiting and len(self._waiting) < _WAITING:
            self._waiting[device] = None
            self._start(self._learn(device))

    def see(self, identifier: str, region_config: str) -> None:
        """Record that a profile is in use; read it if it is unknown or was read long ago."""
        if not identifier or identifier in self._fetching or len(self._fetching) >= _FETCHES:
            return
        now, ask_at = self._events.now(), self._ask_at.get(identifier, 0.0)
        if now >= ask_at or ask_at > now + REFRESH_EVERY:  # the clock may have been set back
            self._fetching[identifier] = region_config
            self._start(self._fetch(identifier, region_config))

    def release(self, devices: Iterable[str]) -> None:
        """Read no profiles of devices that another node serves from now on."""
        for device in devices:
            self._waiting.pop(device, None)

    def refresh(self) -> None:
        """Read what could not be read while the network server was down."""
        for device in list(self._waiting)[:_REFRESHED]:
            self._start(self._learn(device))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _learn(self, device: str) -> None:
        async with self._gate:
            if device not in self._waiting:
                return
            try:
                found = await self._provider.server_record(device)
                record = await self._records.get(device)
                if record is not None:
                    record.profile, record.device_class = found.profile, found.device_class or record.device_class
                    await self._records.put(device, record)
            except CallFailed as error:
                self._not_read(device, error)
                return
            except NotServedHere:
                self._waiting.pop(device, None)  # whoever serves it now reads its profile
                return
            except BridgeError as error:
                log.warning("the profile of device %s could not be stored: %s", device, error)
                self._again_later(device)
                return
            self._waiting.pop(device, None)
            if record is None:
                return
            self._events.deliver(provisioned_event(device, trouble_in(found)))
        self.see(record.profile, record.region_config)

    def _not_read(self, device: str, error: CallFailed) -> None:
        """Give up a device that the network server does not have; most other failures pass."""
        if (trouble := trouble_of(error)) is not None:
            self._waiting.pop(device, None)
            self._events.deliver(provisioned_event(device, trouble))
            self._events.count("lorawan_devices_not_in_chirpstack")
        elif error.trouble in _LASTING:
            self._waiting.pop(device, None)
        else:
            self._again_later(device)
            if error.out_of_reach:
                return  # that it does not answer is reported elsewhere
        log.warning("device %s in the network server: %s", device, error, extra={"sample": "lorawan device"})

    def _again_later(self, device: str) -> None:
        """Read a device after those that have waited longer, unless another node serves it now."""
        if device in self._waiting:
            del self._waiting[device]
            self._waiting[device] = None

    async def _fetch(self, identifier: str, region_config: str) -> None:
        pause = REFRESH_EVERY
        try:
            async with self._gate:
                profile = await self._provider.radio(identifier, region_config)
            await self._records.put_profile(identifier, profile)
        except BridgeError as error:
            pause = RETRY_AFTER
            log.info(
                "device profile %s could not be read yet: %s", identifier, error, extra={"sample": "lorawan profile"}
            )
        finally:
            del self._fetching[identifier]
        self._ask_at.pop(identifier, None)
        self._ask_at[identifier] = self._events.now() + pause
        if len(self._ask_at) > KNOWN:
            del self._ask_at[next(iter(self._ask_at))]
