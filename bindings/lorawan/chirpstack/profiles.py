"""What device profiles and regions say, learned from ChirpStack: sizes, and whether a join flushes the queue."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from chirpstack_api import api, common

from bindings.contract import Events
from bindings.lorawan.chirpstack.client import ChirpStackClient
from bindings.lorawan.chirpstack.transport import CallFailed
from bindings.lorawan.records import Profile, Records
from bridge.errors import BridgeError

log = logging.getLogger(__name__)

REFRESH_EVERY = 600.0  # seconds: an operator may change a profile
_AT_ONCE = 4


class Profiles:
    """The profiles of one network instance's devices."""

    def __init__(self, client: ChirpStackClient, records: Records, events: Events) -> None:
        self._client = client
        self._records = records
        self._events = events
        self._asked: dict[str, float] = {}
        self._waiting: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._regions: dict[str, api.GetRegionResponse | None] = {}

    async def stop(self) -> None:
        """Ask no more; what was not asked is asked after the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def learn(self, device: str) -> None:
        """Find out a device's profile and class, soon."""
        if device not in self._waiting and len(self._waiting) < 100_000:  # noqa: PLR2004  (the rest comes with uplinks)
            self._waiting.add(device)
            self._start(self._learn(device))

    def see(self, identifier: str, region_config: str) -> None:
        """Note that a profile is in use, and ask for it if it is not known or was asked for long ago."""
        if identifier and self._events.now() - self._asked.get(identifier, -REFRESH_EVERY) >= REFRESH_EVERY:
            self._asked[identifier] = self._events.now()
            self._start(self._fetch(identifier, region_config))

    async def refresh(self) -> None:
        """Take up what could not be asked while ChirpStack was away."""
        for device in list(self._waiting)[:1000]:
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
                found = await self._client.get_device(device)
                record = self._records.get(device)
                self._waiting.discard(device)
                if record is None:
                    return
                record.profile = found.device.device_profile_id
                record.device_class = "ABC"[found.class_enabled] if found.class_enabled in (0, 1, 2) else "A"
                await self._records.put(device, record)
            except CallFailed as error:
                if not error.out_of_reach:
                    self._waiting.discard(device)
                    self._events.count("lorawan_devices_not_in_chirpstack")
                    log.warning("ChirpStack and device %s: %s", device, error, extra={"sample": "lorawan device"})
                return
            except BridgeError as error:
                log.warning("the profile of %s was not kept: %s", device, error)
                return
        self.see(record.profile, record.region_config)

    async def _fetch(self, identifier: str, region_config: str) -> None:
        try:
            found = await self._client.get_profile(identifier)
            region = await self._region(found.region_config_id or region_config, found.region)
            profile = Profile(
                region=common.Region.Name(found.region),
                revision=common.RegParamsRevision.Name(found.reg_params_revision),
                mac_version=common.MacVersion.Name(found.mac_version),
                flush_on_activate=found.flush_queue_on_activate,
                rx1_delay=found.rx1_delay,
                rx1_dr_offset=region.rx1_dr_offset if region is not None else 0,
                rx2_dr=region.rx2_dr if region is not None else 0,
                ping_slot_dr=region.class_b_ping_slot_dr if region is not None else -1,
                known=True,
            )
            await self._records.put_profile(identifier, profile)
        except (CallFailed, BridgeError, ValueError) as error:
            self._asked.pop(identifier, None)
            log.info("device profile %s is not known yet: %s", identifier, error, extra={"sample": "lorawan profile"})

    async def _region(self, identifier: str, region: int) -> api.GetRegionResponse | None:
        """Give a region's configuration; without its name, the only one of that region. None: it is not told.

        A real one tells it to users, not to API keys: RX1 offset 0 and RX2 at data rate 0 are then taken, to be safe.
        """
        try:
            if not identifier:
                named = [one.id for one in await self._client.regions() if one.region == region]
                identifier = named[0] if len(named) == 1 else ""
            if not identifier:
                return None
            if identifier not in self._regions:
                self._regions[identifier] = await self._client.get_region(identifier)
            return self._regions[identifier]
        except CallFailed as error:
            if error.out_of_reach:
                raise
            if not error.for_users_only:
                log.info("region %s cannot be read: %s", identifier, error, extra={"sample": "lorawan region"})
            return None
