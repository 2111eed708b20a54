"""The record of each device's configuration: a small note in the network instance's Memory.

Two kinds of notes: `d/<device>` holds the record, `c/<configuration id>` names the device. Idle devices cost no memory:
records are read when needed and a few are kept decoded.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Container
from enum import IntEnum
from typing import Any

import msgspec

from bindings.contract import MISS, Memory, Miss
from bridge.errors import BridgeError

_KEPT = 4096  # decoded records and profiles that are kept; the working set of a busy minute

_RECORD = "d/"
_INDEX = "c/"


class State(IntEnum):
    """The state of a device's configuration."""

    WANTED = 0  # no configuration is known yet
    ACTIVE = 1
    LOST = 2  # the SCEF ended or forgot it: to be created again
    REMOVING = 3
    DOUBTED = 4  # it may be gone: to be checked at the SCEF


class DeviceNote(msgspec.Struct, array_like=True, gc=False):
    """One device's configuration. Times are whole wall-clock seconds, 0 for none; sizes 0 for unknown."""

    state: State = State.WANTED
    due: int = 0  # time of the next work: creation, renewal, retry
    configuration: str = ""  # configurationId; of a LOST one the former, so that late notifications find the device
    packet_size: int = 0  # maximumPacketSize of the SCEF
    learned: int = 0  # bytes; less than a size that was refused as DATA_TOO_LARGE
    span: int = 0  # granted duration in seconds, for the renewal
    failures: int = 0  # in a row
    destination: int = 0  # checksum of the notificationDestination at the SCEF
    max_packet_size: int = 0  # bytes; the endpoint's own limit
    pdn: str = ""  # the endpoint's own pdnEstablishmentOption
    reliable: bool | None = None  # the endpoint's own reliableDataService
    made: int = 0  # when it was created, adopted or renewed
    features: int = -1  # negotiated supportedFeatures; -1: the SCEF does not say
    short_lives: int = 0  # of this device's configurations, in a row
    rds_port: str = ""  # the endpoint's own, `UE:SCEF`
    buffer: str = ""  # the endpoint's own policy
    power: tuple[int, ...] = ()  # the endpoint's own network parameters; -1: not set
    watched: int = 0  # checksum of the subscriptions for its reachability
    watch_due: int = 0  # when that needs work again
    not_before: int = 0  # after it is gone: not created again before this time
    server_ports: str = ""  # the endpoint's RDS ports for its servers, `UE:SCEF,UE:SCEF`


def moved_back(record: DeviceNote, now: float, longest: float) -> DeviceNote | None:
    """Return a record with its work due now, if a clock that was set back since has put it off; None: it has not.

    A configuration that was made later than `now` shows that. So does a try after a failure, or a creation, that is
    due later than in `longest` seconds. Since when the clock was wrong is unknown.
    """
    if record.state is State.ACTIVE and not record.failures:
        if record.made <= now + 1:
            return None
        times = {"due": record.due and int(now), "watch_due": record.watch_due and int(now), "made": int(now)}
        return msgspec.structs.replace(record, **times)
    if max(record.due, record.not_before) <= now + longest:
        return None
    times = {"due": min(record.due, int(now)), "not_before": min(record.not_before, int(now))}
    return msgspec.structs.replace(record, **times)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(DeviceNote).decode


Changed = Callable[[str, DeviceNote, str], None]


class DeviceNotes:
    """The records of one network instance over its Memory."""

    def __init__(self, memory: Memory, changed: Changed = lambda *_: None) -> None:
        """`changed` is called with each committed record, and with the failure that caused it."""
        self._memory = memory
        self.changed = changed
        self._kept: dict[str, DeviceNote | None] = {}  # None: removed
        self.by_state = dict.fromkeys(State, 0)

    @property
    def is_shared(self) -> bool:
        """Return whether other nodes serve devices of this network, too."""
        return self._memory.is_shared

    def cached(self, device: str) -> DeviceNote | Miss | None:
        """Return a record in memory, None if it is known not to exist, else MISS. Change it through `put`."""
        record = self._kept.get(device, MISS)
        if record is MISS:
            raw = self._memory.cached(_RECORD + device)
            return MISS if raw is MISS else self._decoded(device, raw)
        return record

    async def get(self, device: str) -> DeviceNote | None:
        """Return a record, which is changed through `put`; None: the device was never provisioned.

        Raises StoreUnavailable.
        """
        record = self.cached(device)
        if record is not MISS:
            return record
        raw = await self._memory.load(_RECORD + device)
        return None if raw is None else self._decoded(device, raw)

    def forget(self, device: str) -> None:
        """Read the record of a device from the store again."""
        self._kept.pop(device, None)

    def forget_all(self, but: Container[str]) -> None:
        """Read the records of all devices from the store again, but those of some."""
        self._kept = {device: record for device, record in self._kept.items() if device in but}

    def held(self, device: str) -> DeviceNote | None:
        """Return the record of a device whose endpoint is in memory."""
        record = self._kept.get(device)
        if record is None:
            raw = self._memory.held(_RECORD + device)
            return None if raw is None else self._decoded(device, raw)
        return record

    def _decoded(self, device: str, raw: bytes) -> DeviceNote:
        record = _decode(raw)
        _keep(self._kept, device, record)
        return record

    async def all(self) -> AsyncGenerator[tuple[str, DeviceNote]]:
        """Yield all records. If the caller waits in between, a record may have changed when it is yielded."""
        async for key, raw in self._memory.items(_RECORD):
            yield key[len(_RECORD) :], _decode(raw)

    async def count(self) -> None:
        """Count the states, at start."""
        self.by_state = dict.fromkeys(State, 0)
        async for _, record in self.all():
            self.by_state[record.state] += 1

    def cached_device_of(self, configuration: str) -> str | Miss:
        """Return the device that a configuration is for, if that is in memory, else MISS."""
        raw = self._memory.cached(_INDEX + configuration)
        return MISS if raw is MISS else raw.decode()

    async def device_of(self, configuration: str) -> str | None:
        """Return the device that a configuration is for; its endpoint is loaded into memory, too."""
        raw = await self._memory.load_with_endpoint(_INDEX + configuration)
        return None if raw is None else raw.decode()

    async def put(self, device: str, record: DeviceNote, trouble: str = "") -> None:
        """Commit a record and its index; an index that it no longer needs is removed. Raises StoreUnavailable.

        Later reads return this record: a change during the commit must be based
        on it. If the commit fails, the record is read again from the store.
        `trouble`: the failure of the latest job, if that is the reason of the record's state.
        """
        before = await self.get(device)
        _keep(self._kept, device, record)
        notes = [self._memory.put(_RECORD + device, _encode(record), device)]
        if record.configuration and (before is None or before.configuration != record.configuration):
            # Before the record: in the same group of commits, or an earlier one.
            notes.insert(0, self._memory.put(_INDEX + record.configuration, device.encode(), device))
        try:
            await asyncio.gather(*notes)
        except BridgeError:
            if self._kept.get(device) is record:
                del self._kept[device]
            raise
        self.by_state[record.state] += 1
        if before is not None:
            self.by_state[before.state] -= 1
            if before.configuration and before.configuration != record.configuration:
                await self._forget_index(before.configuration, device)
        self.changed(device, record, trouble)

    async def remove(self, device: str) -> None:
        """Forget a device. Raises StoreUnavailable."""
        before = await self.get(device)
        if before is None:
            return
        await self._memory.put(_RECORD + device, None, device)
        _keep(self._kept, device, None)
        self.by_state[before.state] -= 1
        if before.configuration:
            await self._forget_index(before.configuration, device)

    async def _forget_index(self, configuration: str, device: str) -> None:
        await self._memory.put(_INDEX + configuration, None, device)


def _keep(cache: dict[str, Any], key: str, value: object) -> None:
    cache.pop(key, None)
    cache[key] = value
    if len(cache) > _KEPT:
        del cache[next(iter(cache))]
