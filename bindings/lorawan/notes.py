"""The notes of devices in the network instance's Memory, and the notes of device profiles.

Notes are read when needed, and a few are kept decoded. Changes by each message (counters, data rate, queued downlinks)
are written from time to time. Uplinks that a crash loses are still in the ledger; lost records of downlinks make these
unknown.
"""

import asyncio
import contextlib
from asyncio import Future
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping

import msgspec

from bindings.contract import MISS, Kind, Memory, Miss
from bindings.lorawan.app_s_key import Envelope
from bridge.errors import StoreUnavailable

_KEPT = 4096
_WINDOW = 64  # frame counters below the highest one that are distinguished
_TOGETHER = 500  # notes written in one commit
_FORMER_KEYS = 3  # of a device; their counters continue if they are used again
_DEVICE = "d/"
_PROFILE = "p2/"  # "p/" of version 0.1.0 has 0 for unknown values


class WhenQueued(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """State of the device when a downlink was queued."""

    dev_addr: str = ""  # its session
    next_up: int = 0  # frame counter expected of its next uplink
    quiet: bool = False  # the receive windows of its last uplink had ended
    counting: bool = False  # a downlink of the session was transmitted before, so the next counter is above 0
    device_class: str = "A"


class Queued(msgspec.Struct, array_like=True):
    """One downlink in the network server's queue."""

    kind: Kind
    repeatable: bool
    confirmed: bool
    before: WhenQueued | None = None  # None: it was found in the queue
    uplinks: int = 0  # uplinks since it was queued: each may have caused its transmission
    deadline: float | None = None  # by our clock


class Sealed(msgspec.Struct, array_like=True):
    """An AppSKey that the network server cannot read."""

    envelope: Envelope
    next_down: int = 0  # lowest frame counter with which no downlink was encrypted yet
    personal: bool = False  # given by a person (ABP): the network server has a key of zeros instead


class DeviceNote(msgspec.Struct, array_like=True):
    """One device. `seen_at` is a time of the network server or a gateway, all others are of our wall clock."""

    profile: str = ""  # device profile id
    device_class: str = "A"
    dev_addr: str = ""  # of the session; empty: no uplink or join yet
    joined_at: float = 0.0  # 0: no join was seen
    seen_at: float = 0.0  # time in the event of the latest uplink
    dr: int = -1  # of the latest uplink; -1: none
    highest: int = -1  # frame counter
    seen: int = 0  # bit n: the uplink with counter `highest - n` was processed
    uplinks: int = 0  # of this session
    f_port: int = 0  # 0: the network instance's setting
    max_payload: int = 0  # 0: the network instance's setting
    region_config: str = ""
    fits: int = 0  # bytes that would have fit since the latest uplink, by the network server; 0: unknown
    heard_at: float = 0.0  # time of the latest uplink by our clock; 0: never
    counting: bool = False  # a downlink of this session was transmitted
    rx_delay: float = 0.0  # seconds from an uplink to the window of its downlink, as last transmitted; 0: not known
    former: str = ""  # the session before
    session_at: float = 0.0  # when this session was first seen
    reset_expected: bool = False  # the device lost its counters: a low one that is accepted is new
    queued: dict[str, Queued] = {}  # the bridge's downlinks in the network server's queue, by item id, oldest first
    frequency: int = 0  # Hz, of the latest uplink; 0: unknown
    rx1_dr_offsets: tuple[int, ...] = ()  # those that all transmissions allow; empty: no transmission yet
    rx2_dr: int = -1  # as last transmitted; -1: unknown
    sealed: Sealed | None = None  # of this session; None: the network server reads its payloads
    former_keys: list[Sealed] = []  # the latest first
    server_ports: tuple[int, ...] = ()  # FPorts that have a server each; `f_port`, or the usual one, is another

    def ports(self, usual: int) -> tuple[int, ...]:
        """Return all FPorts of LwM2M messages; `usual`: that of the network instance."""
        return (*self.server_ports, self.f_port or usual)

    def seal(self, envelope: Envelope, *, personal: bool = False) -> bool:
        """Use an AppSKey from now on, with its counter if it was used before; return whether it is another one.

        A session by hand (ABP) keeps its AppSKey when only the KEK changes, which is not visible here: its counter
        continues.
        """
        if self.sealed is not None and self.sealed.envelope == envelope:
            return False
        self.unseal()
        known = next((one for one in self.former_keys if one.envelope == envelope), None)
        self.former_keys = [one for one in self.former_keys if one is not known][:_FORMER_KEYS]
        used = [one.next_down for one in self.former_keys if one.personal] if personal else []
        self.sealed = known or Sealed(envelope)
        self.sealed.next_down = max(self.sealed.next_down, *used, 0)
        self.sealed.personal = personal
        return True

    def unseal(self) -> None:
        """Stop using an AppSKey that the network server cannot read."""
        if self.sealed is not None:
            self.former_keys.insert(0, self.sealed)
            self.sealed = None

    def has_seen(self, f_cnt: int) -> bool:
        """Return whether an uplink of this session is remembered as processed; old ones are not remembered."""
        behind = self.highest - f_cnt
        return 0 <= behind < _WINDOW and bool(self.seen >> behind & 1)

    def continues(self, dev_addr: str, f_cnt: int, at: float) -> bool:
        """Return whether an uplink belongs to the known session."""
        return dev_addr == self.dev_addr and (f_cnt > self.highest or not self.counter_restarted(f_cnt, at))

    def counter_restarted(self, f_cnt: int, at: float) -> bool:
        """Return whether a live uplink shows that the frame counter was reset; `at`: the time in its event.

        An uplink with a lower counter may have been overtaken. A counter that was processed already is used again, if
        the event is later than all others: else a broker brings an event again, also where a reset is expected.
        """
        if f_cnt >= self.highest:
            return False
        if self.has_seen(f_cnt):
            return at > self.seen_at
        return self.counter_fell_back(f_cnt) or self.reset_expected

    def counter_fell_back(self, f_cnt: int) -> bool:
        """Return whether the counter fell so far behind that it must have been reset."""
        return self.highest - f_cnt >= _WINDOW

    def record_uplink(self, f_cnt: int) -> None:
        """Remember an uplink."""
        if f_cnt > self.highest:
            ahead = f_cnt - self.highest
            self.seen = (self.seen << ahead if self.highest >= 0 and ahead < _WINDOW else 0) & (1 << _WINDOW) - 1 | 1
            self.highest = f_cnt
        elif self.highest - f_cnt < _WINDOW:
            self.seen |= 1 << self.highest - f_cnt

    def restart_counters(self) -> None:
        """Forget the counters of uplinks: the device reset them."""
        self.highest, self.seen, self.reset_expected = -1, 0, False

    def new_session(self, dev_addr: str, *, joined_at: float, now: float) -> None:
        """Begin a new session: counters and data rate of the former one no longer apply."""
        self.former, self.dev_addr = self.dev_addr, dev_addr
        self.joined_at, self.session_at = joined_at, now
        self.restart_counters()
        self.dr, self.uplinks, self.fits = -1, 0, 0
        self.counting, self.rx_delay = False, 0.0


class Profile(msgspec.Struct, array_like=True, gc=False, frozen=True, eq=False):
    """The relevant parts of a device profile and its region's configuration. Compared by identity."""

    region: str = ""
    revision: str = ""
    mac_version: str = ""
    flush_on_activate: bool = True  # unknown: assume that a join empties the queue
    rx1_delay: int = 0
    rx1_dr_offset: int = -1  # -1, also for the next two: unknown
    rx2_dr: int = -1
    ping_slot_dr: int = -1
    known: bool = False


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(DeviceNote).decode
_decode_profile = msgspec.msgpack.Decoder(Profile).decode
UNKNOWN_PROFILE = Profile()


class DeviceNotes:
    """The notes of one network instance. On several nodes: a note is decoded only while this node serves its device."""

    def __init__(self, memory: Memory, check_served: Callable[[str], Awaitable[None]] | None = None) -> None:
        """`check_served` raises NotServedHere for a device of another node; None: there is no other node."""
        self._memory = memory
        self._check_served = check_served
        self._kept: dict[str, DeviceNote] = {}
        self._changed: dict[str, DeviceNote] = {}
        self._being_written: dict[str, DeviceNote] = {}
        self._writing = asyncio.Lock()  # one `write` at a time: the next one also waits for what this one writes
        self._profiles: dict[str, Profile] = {}

    async def start(self) -> None:
        """Read the notes of device profiles. Raises StoreUnavailable."""
        async for key, raw in self._memory.items(_PROFILE):
            with contextlib.suppress(msgspec.MsgspecError):
                self._profiles[key[len(_PROFILE) :]] = _decode_profile(raw)

    def cached(self, device: str) -> DeviceNote | Miss:
        """Return a device's note if it is in memory and no caller waits for it, else MISS.

        The caller may change it in place, and then call `changed`.
        """
        raw = self._memory.cached(_DEVICE + device)
        if raw is MISS or (self.is_shared and self._memory.held(_DEVICE + device) is None):
            return MISS  # on several nodes, only the endpoint that is in memory shows that this node serves the device
        return self.read(device, raw) or MISS

    @property
    def is_shared(self) -> bool:
        """Return whether other nodes serve devices of this network, too."""
        return self._memory.is_shared

    async def get(self, device: str) -> DeviceNote | None:
        """Return a device's note, to change in place before `changed` or `put`; None: it has none.

        Raises StoreUnavailable; NotServedHere, if another node serves the device.
        """
        return self._there(device) or await self.when_read(device, self._memory.load(_DEVICE + device))

    async def when_read(self, device: str, read: Future[bytes | None]) -> DeviceNote | None:
        """Return a device's note when it is read. Raises StoreUnavailable; NotServedHere, as `get`."""
        raw = await read
        if self._check_served is not None and self.is_shared:
            await self._check_served(device)  # after the read: whoever lets the device go later forgets this note
        return self.read(device, raw)

    def heard(self, device: str) -> Future[bytes | None]:
        """Return a future for `when_read`, for a device that was just heard: its endpoint is read with it."""
        return self._memory.load_with_endpoint(_DEVICE + device)

    def held(self, device: str) -> DeviceNote | None:
        """Return the note of a device whose endpoint is in memory."""
        return self._kept.get(device) or self.read(device, self._memory.held(_DEVICE + device))

    def read(self, device: str, raw: bytes | None) -> DeviceNote | None:
        """Return a device's note, decoded from `raw` unless it is in memory: there is one object for each device."""
        record = self._there(device)
        if record is None and raw is not None:
            record = self._decoded(raw)
        if record is not None:
            self._kept.pop(device, None)
            self._kept[device] = record
            if len(self._kept) > _KEPT:
                del self._kept[next(iter(self._kept))]
        return record

    def _there(self, device: str) -> DeviceNote | None:
        return self._kept.get(device) or self._changed.get(device) or self._being_written.get(device)

    def _decoded(self, raw: bytes) -> DeviceNote | None:
        try:
            return _decode(raw)
        except msgspec.MsgspecError:
            return None

    def changed(self, device: str, record: DeviceNote) -> None:
        """Mark a note for the next `write`; nothing happens if another node may have changed it since it was read."""
        if self._is_current(device, record):
            self._changed[device] = record

    def _is_current(self, device: str, record: DeviceNote) -> bool:
        return not self.is_shared or record is self._there(device)

    async def put(self, device: str, record: DeviceNote) -> None:
        """Write a note now. Raises StoreUnavailable."""
        there = self._there(device)
        if self.is_shared and there is not None and there is not record:
            raise StoreUnavailable(f"the note of {device} was read anew: another node has served the device meanwhile")
        self._kept[device] = record
        older = self._being_written.pop(device, None)  # if that fails, it is not written again over this note
        changed = self._changed.pop(device, None) or older  # later changes are written with the next `write`
        try:
            await self._memory.put(_DEVICE + device, _encode(record), device)
        except BaseException:
            if changed is not None:
                self._changed.setdefault(device, changed)
            raise

    async def write(self, some_devices: Collection[str] | None = None) -> None:
        """Write changed notes, many in one commit; of some devices, or of all.

        Returns when those are committed, too, that an earlier call is just writing. Raises StoreUnavailable; the rest
        is written next time.
        """
        async with self._writing:
            devices = [device for device in self._changed if some_devices is None or device in some_devices]
            for begin in range(0, len(devices), _TOGETHER):
                some = [device for device in devices[begin : begin + _TOGETHER] if device in self._changed]
                self._being_written = {device: self._changed.pop(device) for device in some}
                try:
                    await self._put_all(self._being_written)
                except BaseException:
                    self._changed = self._being_written | self._changed
                    raise
                finally:
                    self._being_written = {}

    async def _put_all(self, notes: Mapping[str, DeviceNote]) -> None:
        writing = [self._memory.put(_DEVICE + device, _encode(record), device) for device, record in notes.items()]
        for done in await asyncio.gather(*writing, return_exceptions=True):
            if done is not None:
                raise done

    async def remove(self, device: str) -> None:
        """Forget a device. Raises StoreUnavailable."""
        self._forget(device)
        await self._memory.put(_DEVICE + device, None, device)

    async def release(self, devices: Collection[str], *, late: bool = False) -> None:
        """Write the changed notes of some devices, then forget them: another node changes them from now on.

        `late`: another node may have changed them already, so they are not written.
        Raises StoreUnavailable: some were not written, as after a crash; all are forgotten.
        """
        try:
            if not late:
                await self.write(devices)
        finally:
            for device in devices:
                self._forget(device)

    def _forget(self, device: str) -> None:
        self._kept.pop(device, None)
        self._changed.pop(device, None)
        self._being_written.pop(device, None)

    async def devices(self) -> AsyncIterator[str]:
        """Yield all devices that have a note. Raises StoreUnavailable."""
        async for key, _ in self._memory.items(_DEVICE):
            yield key[len(_DEVICE) :]

    def profile(self, identifier: str) -> Profile:
        """Return the note of a device profile."""
        return self._profiles.get(identifier, UNKNOWN_PROFILE)

    async def put_profile(self, identifier: str, profile: Profile) -> None:
        """Store the note of a device profile. Raises StoreUnavailable."""
        if _encode(self.profile(identifier)) != _encode(profile):
            self._profiles[identifier] = profile
            await self._memory.put(_PROFILE + identifier, _encode(profile))
