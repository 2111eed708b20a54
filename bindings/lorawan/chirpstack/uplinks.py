"""What an integration event means for the bridge. Events come in any order, twice, late, or from a replay."""

import logging
from asyncio import Future
from collections.abc import Awaitable, Callable
from functools import partial

from bindings.commits import NOTHING_TO_COMMIT
from bindings.contract import Events, Joined, NetworkState, Reachable, Refusal, Report, Uplink
from bindings.lorawan.chirpstack import events as cs
from bindings.lorawan.chirpstack.profiles import Profiles
from bindings.lorawan.chirpstack.queue import Queues
from bindings.lorawan.records import Record, Records
from bindings.lorawan.settings import LorawanSettings
from bridge.errors import NotificationError, UnknownDevice

log = logging.getLogger(__name__)

_LOGGED: dict[str, Refusal] = {
    "EXPIRED": Refusal.EXPIRED,
    "DOWNLINK_PAYLOAD_SIZE": Refusal.TOO_LARGE,
    "F_CNT_DOWN": Refusal.FAILED,
    "DOWNLINK_CODEC": Refusal.REJECTED,
}
"""Log codes that name a queue item which ChirpStack has deleted: certainly not sent."""


class Uplinks:
    """Turns events into what the contract knows, and keeps the notes of devices. `late` is told of a device whose
    downlink should have left with an uplink, while no event said so."""

    def __init__(
        self,
        settings: LorawanSettings,
        records: Records,
        queues: Queues,
        profiles: Profiles,
        events: Events,
        late: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._records = records
        self._queues = queues
        self._profiles = profiles
        self._events = events
        self._late = late

    def take(self, kind: str, body: bytes) -> Awaitable[None]:
        """Have one event committed.

        Raises, at once or when awaited, NotificationError for what is none, or StoreUnavailable.
        """
        try:
            event = cs.read(kind, body)
        except NotificationError:
            self._events.count("lorawan_malformed_events")
            raise
        # What each exchange brings is taken at once, without a task of its own.
        if self._is_ours(event):
            try:
                if isinstance(event, cs.TxAck):
                    return self._tx_ack(event)
                if isinstance(event, cs.Up):
                    record = self._records.get(event.device)
                    if record is not None and record.continues(event.dev_addr, event.f_cnt):
                        return self._next_up(event, record)
            except UnknownDevice as error:
                _unknown(error)
                return NOTHING_TO_COMMIT
        return self.handle(event)

    def _is_ours(self, event: cs.Event) -> bool:
        return self._settings.application_id in ("", event.application)

    async def handle(self, event: cs.Event, *, replayed: bool = False) -> None:
        """Commit one event; `replayed`: it may have been taken long ago. Raises StoreUnavailable."""
        if not self._is_ours(event):
            self._events.count("lorawan_other_applications")
            log.info("event of application %s dropped", event.application, extra={"sample": "lorawan application"})
            return
        record = self._records.get(event.device)
        if record is None:
            record = Record()
        try:
            match event:
                case cs.Up():
                    await self._up(event, record, replayed=replayed)
                case cs.Join():
                    await self._join(event, record)
                case cs.TxAck():
                    await self._tx_ack(event)
                case cs.Ack():
                    await self._ack(event)
                case cs.Log():
                    await self._log(event, record)
        except UnknownDevice as error:
            _unknown(error)

    # Uplinks and sessions

    def _next_up(self, event: cs.Up, record: Record) -> Awaitable[None]:
        """Deliver the next uplink of a session; it is remembered once it is committed."""
        self._learn(event, record)
        committed = self._events.deliver(self._content(event, record, self._events.now()))
        committed.add_done_callback(partial(self._taken, event, record))
        return committed

    def _taken(self, event: cs.Up, record: Record, committed: Future[None]) -> None:
        if not committed.cancelled() and committed.exception() is None:
            self._remember(event, record)
            if self._queues.heard(event.device):
                self._late(event.device)

    def _remember(self, event: cs.Up, record: Record) -> None:
        record.take(event.f_cnt)
        record.uplinks += 1
        self._records.changed(event.device, record)

    async def _up(self, event: cs.Up, record: Record, *, replayed: bool) -> None:
        device = event.device
        late = replayed and event.time <= max(record.joined_at, record.seen_at)  # later ones have been heard already
        if late and event.dev_addr != record.dev_addr:
            await self._once(event, record)  # of a former session: nothing of it is true any more
            return
        if replayed and record.dev_addr == event.dev_addr and record.has_seen(event.f_cnt):
            self._events.count("lorawan_replayed_events")
            return
        if event.dev_addr != record.dev_addr:
            # Events overtake each other: the join of this session is still to come, or was lost.
            await self._new_session(device, event.dev_addr, event.time, record, told=bool(record.dev_addr))
        elif not late and record.went_back(event.f_cnt):
            self._events.count("lorawan_counter_resets")
            record.highest, record.seen = -1, 0
            await self._events.deliver(Joined(device, queue_kept=True))
        if not replayed:
            await self._next_up(event, record)
            return
        self._learn(event, record)
        await self._once(event, record)
        self._remember(event, record)

    async def _once(self, event: cs.Up, record: Record) -> None:
        """Deliver what history brings, unless it was taken.

        Of the latest counters a crash forgot some, of old ones none are kept (`Records`): the ledger knows.
        """
        content = self._content(event, record, event.time)
        if isinstance(content, Uplink) and await self._events.has_taken(
            content, self._settings.downlinks.exchange_span
        ):
            self._events.count("lorawan_replayed_events")
        else:
            await self._events.deliver(content)

    def _content(self, event: cs.Up, record: Record, at: float) -> Uplink | Reachable:
        """Give what is in an uplink for LwM2M; else, that the device was heard."""
        device = event.device
        f_port = record.f_port or self._settings.downlinks.f_port
        if event.sealed:
            self._events.count("lorawan_sealed_uplinks")
            log.warning(
                "uplink of %s is encrypted for an application server with its own keys; the bridge has none",
                device,
                extra={"sample": "lorawan sealed"},
            )
        elif event.f_port == f_port and event.data:
            return Uplink(device, event.data, f"{event.deduplication_id}/{event.f_cnt}", at)
        elif event.f_port and event.f_port != f_port:
            self._events.count("lorawan_other_f_ports")
        return Reachable(device)

    def _learn(self, event: cs.Up, record: Record) -> None:
        if event.time >= record.seen_at:
            record.seen_at = event.time
            record.dr = event.dr
            record.fits = 0
            record.device_class = event.device_class
            record.region_config = event.region_config
            record.profile = event.profile or record.profile
            if self._records.get(event.device) is not None:
                self._profiles.see(record.profile, record.region_config)

    async def _join(self, event: cs.Join, record: Record) -> None:
        if event.dev_addr == record.dev_addr or event.time <= max(record.joined_at, record.seen_at):
            self._events.count("lorawan_replayed_events")
            return  # an uplink of the new session was quicker, or it is a replay
        record.profile = event.profile or record.profile
        await self._new_session(event.device, event.dev_addr, event.time, record, told=True)

    async def _new_session(self, device: str, dev_addr: str, at: float, record: Record, *, told: bool) -> None:
        """The device has joined; `told` False: it is the first session that the bridge hears of."""
        if told:
            flushed = self._records.profile(record.profile).flush_on_activate
            if flushed:
                self._queues.drop_all(device)
            await self._events.deliver(Joined(device, queue_kept=not flushed))
            record.new_session(dev_addr, at)
            await self._records.put(device, record)
        else:
            record.new_session(dev_addr, 0.0)  # kept with its first uplink, once that is known to be an endpoint's

    # Downlinks

    def _tx_ack(self, event: cs.TxAck) -> Awaitable[None]:
        self._queues.sent(event.device, event.item)
        return self._events.deliver(Report(event.device, event.item, NetworkState.SENT))

    async def _ack(self, event: cs.Ack) -> None:
        self._queues.drop(event.device, event.item)
        if event.acknowledged:
            await self._events.deliver(Report(event.device, event.item, NetworkState.DELIVERED))
            return
        detail = "the device did not acknowledge the frame"
        await self._events.deliver(Report(event.device, event.item, None, detail, nack=True))

    async def _log(self, event: cs.Log, record: Record) -> None:
        self._events.count("lorawan_log_events", code=event.code)
        why = _LOGGED.get(event.code)
        if event.item and why is not None:
            self._queues.drop(event.device, event.item)
            if event.fits and event.time >= record.seen_at and self._records.get(event.device) is record:
                record.fits = event.fits  # the uplink that brought a slower data rate is told by an event of its own
                self._records.changed(event.device, record)
            await self._events.deliver(Report(event.device, event.item, why, f"{event.code}: {event.text}"[:200]))
            return
        if event.code == "UPLINK_F_CNT_RESET":
            await self._events.deliver(Joined(event.device, queue_kept=True))
        # DOWNLINK_GATEWAY names no item: the gateway refused the frame, the item stays queued and goes another time.
        log.info("ChirpStack on %s: %s %s", event.device, event.code, event.text, extra={"sample": event.code})


def _unknown(error: UnknownDevice) -> None:
    log.warning("%s", error, extra={"sample": "lorawan unknown device"})  # the bridge has counted it
