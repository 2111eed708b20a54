"""Checks whether the network server still carries data of the bridge's devices: a device may have been deleted
there, disabled, or moved to another application, without an event.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from bindings.contract import Events
from bindings.diagnosis import Finding, Grade
from bindings.lorawan.clock import NetworkClock
from bindings.lorawan.notes import DeviceNotes
from bindings.lorawan.outstanding import Outstanding
from bindings.lorawan.provider import Provider
from bindings.lorawan.troubles import Trouble, provisioned_event, trouble_in, trouble_of
from bridge.errors import BridgeError, CallFailed, CallTrouble

log = logging.getLogger(__name__)

EVERY = 6 * 3600.0  # seconds between two checks of all devices
_GATHER = 60.0  # seconds from a device that another node has served so far until all are checked again
_PACE = 0.05  # seconds between two devices
_AWAY = 60.0  # seconds until it is tried again after the network server did not answer
_REMEMBERED = 1000  # devices that are listed; of more only the number is known
_NAMED = 5  # devices that a finding lists
_CLOCKS = 5  # devices whose last uplink is used to compare clocks
_TOLERATED = 5.0  # seconds between the clocks


_WORDS = {
    Trouble.MISSING: (
        "the network server does not have these devices: they can neither send nor receive",
        "add the device again with lwm2m-bridge device add, or remove its endpoint with lwm2m-bridge endpoint remove",
    ),
    Trouble.DISABLED: (
        "these devices are disabled in the network server: they can neither send nor receive",
        "enable them in the network server, or disable their endpoints",
    ),
    Trouble.ELSEWHERE: (
        "these devices are in another application: the bridge does not get their messages",
        "move them back to the application of application_id, or remove their endpoints",
    ),
}


class DeviceChecks:
    """Checks all devices of one network instance, slowly and repeatedly."""

    def __init__(
        self, provider: Provider, records: DeviceNotes, outstanding: Outstanding, clock: NetworkClock, events: Events
    ) -> None:
        self._provider = provider
        self._records = records
        self._outstanding = outstanding
        self._clock = clock
        self._events = events
        self._troubles: dict[str, Trouble] = {}
        self._counts: Counter[Trouble] = Counter()
        self._came = asyncio.Event()  # a device that another node has served so far
        self.looked_at = 0

    def device_came(self) -> None:
        """Check all devices soon: another node's findings are not known here."""
        self._came.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                await self._check_all()
            except CallFailed:
                await asyncio.sleep(_AWAY)  # that it does not answer is reported elsewhere
            except BridgeError as error:
                log.info("devices could not be checked: %s", error, extra={"sample": "lorawan standings"})
                await asyncio.sleep(_AWAY)
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(EVERY):
                        await self._came.wait()
                        await asyncio.sleep(_GATHER)
                self._came.clear()

    async def _check_all(self) -> None:
        """Check all devices. Raises CallFailed if the network server does not answer, or fails for each of them.

        One that it fails for keeps the others from nothing: it is checked with the next round.
        """
        counts: Counter[Trouble] = Counter()
        looked_at, failed = 0, None
        async for device in self._records.devices():
            try:
                trouble = await self.look_at(device)
            except CallFailed as error:
                if error.trouble is not CallTrouble.FAILED:
                    raise
                failed = error
                log.info("device %s could not be checked: %s", device, error, extra={"sample": "lorawan standings"})
            else:
                looked_at += 1
                if trouble is not None:
                    counts[trouble] += 1
            await asyncio.sleep(_PACE)
        if failed is not None and not looked_at:
            raise failed
        self._counts, self.looked_at = counts, looked_at

    async def look_at(self, device: str) -> Trouble | None:
        """Return what is wrong with a device now. Raises CallFailed if that is unknown."""
        trouble = await self._trouble_of(device)
        self._events.deliver(provisioned_event(device, trouble))
        if trouble is None:
            self._troubles.pop(device, None)
        elif self._troubles.get(device) is not trouble:
            self._events.count("lorawan_devices_in_trouble", trouble=trouble.value)
            log.warning("device %s: %s", device, trouble.value, extra={"sample": "lorawan device"})
            if len(self._troubles) < _REMEMBERED:
                self._troubles[device] = trouble
        return trouble

    async def _trouble_of(self, device: str) -> Trouble | None:
        try:
            server_record = await self._provider.server_record(device)
        except CallFailed as error:
            trouble = trouble_of(error)
            if trouble is None:
                raise
            return trouble
        return trouble_in(server_record)

    def release(self, devices: Iterable[str]) -> None:
        """Forget what is known of devices that another node serves from now on."""
        for device in devices:
            self._troubles.pop(device, None)

    # For people

    def status(self) -> dict[str, Any]:
        """Return the findings, as JSON values."""
        found = {trouble.value: self._counts[trouble] for trouble in Trouble if self._counts[trouble]}
        return {"looked_at": self.looked_at, **found}

    async def check(self) -> list[Finding]:
        """Return the known faults of devices, and the difference of the clocks.

        Listed devices are checked again first. Raises CallFailed.
        """
        for device in list(self._troubles)[: _NAMED * len(Trouble)]:
            await self.look_at(device)
        findings = await self._clocks()
        for trouble in Trouble:
            devices = [device for device, one in self._troubles.items() if one is trouble]
            if devices:
                number = max(len(devices), self._counts[trouble])
                text, cure = _WORDS[trouble]
                findings.append(Finding("devices", Grade.WARNING, f"{_named(number, devices)}: {text}", cure))
        if not self._troubles and self.looked_at:
            findings.append(Finding("devices", Grade.GOOD, f"{self.looked_at} checked: the network server has them"))
        return findings

    async def _clocks(self) -> list[Finding]:
        ahead = await self.clock_ahead()
        if ahead is None:
            return []  # no device with an uplink that could be compared
        if abs(ahead) <= _TOLERATED:
            return [Finding("clock", Grade.GOOD, "the network server's clock agrees with ours")]
        if ahead > 0:
            apart = f"the network server's clock is {ahead:.0f} s ahead of ours"
            cure = "synchronise both machines by NTP"
        else:  # an event that comes late looks like a clock that is behind
            late = f"events of the network server come {-ahead:.0f} s after their time"
            apart = f"{late}: its clock is behind ours, or they wait"
            cure = "synchronise both machines by NTP; if they are, look for what holds events up, such as the broker"
        return [Finding("clock", Grade.WARNING, f"{apart}; expiries are converted", cure)]

    async def clock_ahead(self) -> float | None:
        """Return by how many seconds the network server's clock is ahead of ours; None: not known.

        Raises CallFailed.
        """
        known = self._clock.ahead(self._events.now())
        if known is not None:
            return known
        for device in self._outstanding.last_heard(_CLOCKS):
            record, snapshot = self._records.held(device), await self._provider.snapshot(device)
            seen_at, session = snapshot.server_record.last_seen_at, snapshot.session
            if record is None or session is None or seen_at is None:
                continue
            if (session.dev_addr, session.f_cnt_up) == (record.dev_addr, record.highest + 1):
                return seen_at - record.heard_at  # the same uplink, by both clocks
        return None


def _named(number: int, devices: Iterable[str]) -> str:
    some = list(devices)[:_NAMED]
    return ", ".join(some) if number <= len(some) else f"{number} devices, such as {', '.join(some)}"
