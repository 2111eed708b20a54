"""Processes uplinks, live or from a history: their content for the bridge, and changes of the device's note.

The latest uplink is found by session and frame counter, never by an event's time: that may be a gateway's time,
which may be wrong.
"""

import asyncio
import logging
from asyncio import Future
from weakref import WeakValueDictionary

from bindings.contract import Events, Joined, Reachable, UplinkMessage
from bindings.lorawan import network_events as net
from bindings.lorawan.clock import NetworkClock
from bindings.lorawan.notes import DeviceNote, DeviceNotes
from bindings.lorawan.outstanding import Outstanding
from bindings.lorawan.profiles import Profiles
from bindings.lorawan.sealing import Sealing
from bindings.lorawan.settings import LorawanSettings

log = logging.getLogger(__name__)


class Uplinks:
    """The uplinks and sessions of one network instance."""

    def __init__(
        self,
        settings: LorawanSettings,
        records: DeviceNotes,
        outstanding: Outstanding,
        profiles: Profiles,
        sealing: Sealing,
        clock: NetworkClock,
        events: Events,
    ) -> None:
        self._settings = settings
        self._records = records
        self._outstanding = outstanding
        self._profiles = profiles
        self._sealing = sealing
        self._clock = clock
        self._events = events
        # Devices whose new session is being stored. A lock is kept as long as anybody has it or waits for it.
        self._beginning: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def deliver(self, event: net.DataUplink, record: DeviceNote, at: float) -> Future[None]:
        """Deliver the content of an uplink; return a future that completes when it is committed."""
        return self._events.deliver(self._content(event, record, at))

    async def deliver_once(self, event: net.DataUplink, record: DeviceNote) -> bool:
        """Deliver an uplink of the history unless the ledger has it; return whether it had a message that was new.

        Raises StoreUnavailable, UnknownDevice.
        """
        content = self._content(event, record, self._clock.ours(event.time, self._events.now()))
        if not isinstance(content, UplinkMessage):
            await self._events.deliver(content)
            return False  # the ledger has no row of it, taken or not
        if await self._events.has_taken(content, self._settings.downlinks.exchange_span):
            self._events.count("lorawan_replayed_events")
            return False
        await self._events.deliver(content)
        return True

    async def was_taken(self, event: net.DataUplink, record: DeviceNote) -> bool:
        """Return whether the ledger has this very uplink: then it was only brought again. Raises StoreUnavailable."""
        content = self._content(event, record, self._events.now())
        return isinstance(content, UplinkMessage) and await self._events.has_taken(content, 0.0)

    def _content(self, event: net.DataUplink, record: DeviceNote, at: float) -> UplinkMessage | Reachable:
        """Return the LwM2M content of an uplink as an event; else an event that the device was heard."""
        device = event.device
        is_ours = event.f_port in record.ports(self._settings.downlinks.f_port)
        if is_ours and event.data:
            payload = self._sealing.payload(event, record)
            if payload is not None:
                port = str(event.f_port) if event.f_port in record.server_ports else None
                return UplinkMessage(device, payload, f"{event.deduplication_id}/{event.f_cnt}", at, port)
        elif event.f_port and not is_ours:
            self._events.count("lorawan_other_f_ports")
        return Reachable(device)

    def learn(self, event: net.DataUplink, record: DeviceNote) -> None:
        """Learn from the latest uplink of the session."""
        if event.f_cnt <= record.highest:
            return
        record.seen_at = event.time
        record.dr, record.frequency = event.dr, event.frequency
        record.fits = 0
        record.device_class = event.device_class
        record.region_config = event.region_config
        record.profile = event.profile or record.profile
        if event.sealed or record.sealed is not None:
            _learn_key(event, record)
        if self._records.held(event.device) is not None:
            self._profiles.see(record.profile, record.region_config)

    def remember(self, event: net.DataUplink, record: DeviceNote) -> None:
        """Record a committed uplink."""
        record.record_uplink(event.f_cnt)
        record.uplinks += 1
        # Also for an uplink of the history: later than it was, which is safe.
        record.heard_at = self._events.now()
        self._outstanding.heard(event.device)
        self._records.changed(event.device, record)

    async def begin_session(self, event: net.DataUplink | net.Join, record: DeviceNote) -> None:
        """Record that the device has a new session, once, even if several events report it at the same time.

        Raises StoreUnavailable, UnknownDevice.
        """
        if isinstance(event, net.DataUplink) and not record.dev_addr and event.device not in self._beginning:
            # The device's first event: stored with this uplink, after the device is known to be an endpoint.
            record.new_session(event.dev_addr, joined_at=0.0, now=self._events.now())
            return
        lock = self._beginning.setdefault(event.device, asyncio.Lock())
        async with lock:
            if record.dev_addr != event.dev_addr:
                await self._begin(event, record)

    async def _begin(self, event: net.DataUplink | net.Join, record: DeviceNote) -> None:
        device = event.device
        record.profile = event.profile or record.profile
        # Payloads encrypted with the former session's key cannot be used in the new one.
        flushed = self._records.profile(record.profile).flush_on_activate or record.sealed is not None
        if flushed:
            self._outstanding.drop_all(device)
        await self._events.deliver(Joined(device, queue_kept=not flushed))
        now = self._events.now()
        record.new_session(event.dev_addr, joined_at=now, now=now)
        _learn_key(event, record)
        await self._records.put(device, record)

    async def restart_counters(self, event: net.DataUplink, record: DeviceNote) -> None:
        """Record that the frame counter was reset within the session. Raises StoreUnavailable, UnknownDevice."""
        before = record.highest, record.seen
        await self._events.deliver(Joined(event.device, queue_kept=True))
        # Only now: after a failed commit the next attempt must find the reset, too. Of two uplinks at the same time,
        # the other one may have recorded it meanwhile.
        if (record.highest, record.seen) == before:
            self._events.count("lorawan_counter_resets")
            record.restart_counters()


def _learn_key(event: net.DataUplink | net.Join, record: DeviceNote) -> None:
    """Record whether the network server can read the session's payloads, or else the bridge's key.

    Settings of a person for a device with its own session (ABP) stay: no event has them.
    """
    if event.sealed:
        record.seal(event.app_s_key)
    elif record.sealed is not None and not record.sealed.personal:
        record.unseal()
