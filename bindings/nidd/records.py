"""What is known of each device's configuration: one small record per device in the network instance's Memory.

Two kinds of notes: `d/<device>` holds the record, `c/<configuration id>` names the device. Idle devices cost no object
here: records are read when needed and a few are kept decoded.
"""

import asyncio
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import msgspec

from bindings.contract import Memory

_KEPT = 4096  # decoded records and profiles kept; the working set of a busy minute

_RECORD = "d/"
_INDEX = "c/"


class State(IntEnum):
    """Where a device's configuration is."""

    WANTED = 0  # none known yet
    ACTIVE = 1
    LOST = 2  # the SCEF ended or forgot it: to be made again
    REMOVING = 3
    DOUBTED = 4  # somebody says that it is gone: the SCEF is asked before that is believed


class Record(msgspec.Struct, array_like=True, gc=False):
    """One device's configuration. Times are whole wall-clock seconds, 0 for none; sizes 0 for unknown."""

    state: State = State.WANTED
    due: int = 0  # next work: making, renewing, trying again
    configuration: str = ""  # configurationId; of a LOST one the former, so that late notifications find the device
    packet_size: int = 0  # maximumPacketSize as the SCEF said it
    learned: int = 0  # bytes; less than what was refused as DATA_TOO_LARGE
    span: int = 0  # seconds granted last, to renew by
    failures: int = 0  # in a row
    destination: int = 0  # check sum of the notificationDestination that the SCEF has
    max_packet_size: int = 0  # bytes; the endpoint's own limit
    pdn: str = ""  # the endpoint's own pdnEstablishmentOption
    reliable: bool | None = None  # the endpoint's own reliableDataService
    made: int = 0  # when it was made, adopted or renewed
    features: int = -1  # supportedFeatures agreed on; -1: the SCEF does not say
    short_lives: int = 0  # of this device's configurations, in a row
    not_before: int = 0  # once it is known to be gone: not made again before


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode


class Records:
    """The records of one network instance over its Memory."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._kept: dict[str, Record] = {}
        self._devices: dict[str, str] = {}
        self.by_state = dict.fromkeys(State, 0)

    def get(self, device: str) -> Record | None:
        """Return a copy-on-write record: change it only through `put`. None: the device was never provisioned."""
        record = self._kept.get(device)
        if record is None:
            raw = self._memory.get(_RECORD + device)
            if raw is None:
                return None
            record = _decode(raw)
            _keep(self._kept, device, record)
        return record

    def all(self) -> Iterator[tuple[str, Record]]:
        """Go over all records. Where the caller waits in between, a record may have changed when it is given."""
        for key, raw in self._memory.items(_RECORD):
            yield key[len(_RECORD) :], _decode(raw)

    def count(self) -> None:
        """Count the states anew, at start."""
        self.by_state = dict.fromkeys(State, 0)
        for _, record in self.all():
            self.by_state[record.state] += 1

    def device_of(self, configuration: str) -> str | None:
        """Return which device a configuration is for."""
        device = self._devices.get(configuration)
        if device is None:
            raw = self._memory.get(_INDEX + configuration)
            if raw is None:
                return None
            device = raw.decode()
            _keep(self._devices, configuration, device)
        return device

    async def put(self, device: str, record: Record) -> None:
        """Commit a record and its index; an index that it no longer needs goes. Raises StoreUnavailable."""
        before = self.get(device)
        notes = [self._memory.put(_RECORD + device, _encode(record))]
        if record.configuration and (before is None or before.configuration != record.configuration):
            # Before the record: in one group of commits, or in this order.
            notes.insert(0, self._memory.put(_INDEX + record.configuration, device.encode()))
        await asyncio.gather(*notes)
        before = self._kept.get(device, before)  # another change may have been committed meanwhile
        _keep(self._kept, device, record)
        self.by_state[record.state] += 1
        if before is not None:
            self.by_state[before.state] -= 1
            if before.configuration and before.configuration != record.configuration:
                await self._forget_index(before.configuration)

    async def remove(self, device: str) -> None:
        """Forget a device. Raises StoreUnavailable."""
        before = self.get(device)
        if before is None:
            return
        await self._memory.put(_RECORD + device, None)
        self._kept.pop(device, None)
        self.by_state[before.state] -= 1
        if before.configuration:
            await self._forget_index(before.configuration)

    async def _forget_index(self, configuration: str) -> None:
        self._devices.pop(configuration, None)
        await self._memory.put(_INDEX + configuration, None)


def _keep(cache: dict[str, Any], key: str, value: object) -> None:
    cache.pop(key, None)
    cache[key] = value
    if len(cache) > _KEPT:
        del cache[next(iter(cache))]
