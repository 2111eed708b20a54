"""What the network server's events mean for the bridge. Events come in any order, twice, late, or from a history."""

import logging
from asyncio import Future
from collections.abc import Awaitable
from functools import partial

from bindings.contract import MISS, Events, Joined, NetworkState, Reachable, Refusal, Report, Uplink
from bindings.lorawan import network_events as net
from bindings.lorawan.clock import NetworkClock
from bindings.lorawan.fates import Fates
from bindings.lorawan.outstanding import Doubts, Outstanding
from bindings.lorawan.profiles import Profiles
from bindings.lorawan.records import Record, Records
from bindings.lorawan.settings import LorawanSettings
from bridge.errors import UnknownDevice

log = logging.getLogger(__name__)

_DISCARDED = {
    net.Why.EXPIRED: Refusal.EXPIRED,
    net.Why.TOO_LARGE: Refusal.TOO_LARGE,
    net.Why.STALE_COUNTER: Refusal.FAILED,
}
_DETAIL = 200  # characters of a network server's text


class Inbound:
    """Turns events into what the contract knows, and keeps the notes of devices.

    A device whose downlink should have left with an uplink, while no event said so, is put into `doubts`.
    """

    def __init__(
        self,
        settings: LorawanSettings,
        records: Records,
        outstanding: Outstanding,
        fates: Fates,
        clock: NetworkClock,
        doubts: Doubts,
        profiles: Profiles,
        events: Events,
    ) -> None:
        self._settings = settings
        self._records = records
        self._outstanding = outstanding
        self._fates = fates
        self._clock = clock
        self._doubts = doubts
        self._profiles = profiles
        self._events = events

    def take(self, event: net.NetworkEvent) -> Awaitable[None]:
        """Have a live event committed. The awaitable raises StoreUnavailable."""
        record = self._records.cached(event.device)
        if record is MISS:
            return self._take_when_read(event, self._records.heard(event.device))
        return self._take(event, record)

    async def _take_when_read(self, event: net.NetworkEvent, read: Future[bytes | None]) -> None:
        await self._take(event, self._records.read(event.device, await read))

    def _take(self, event: net.NetworkEvent, record: Record | None) -> Awaitable[None]:
        # What each exchange brings is taken at once, without a task of its own.
        if isinstance(event, net.TxAck):
            self._clock.observe(event.time, self._events.now())
            self._learn_of_downlink(event)
            return _of_ours(self._tx_ack(event))
        if isinstance(event, net.Up) and record is not None and record.continues(event.dev_addr, event.f_cnt):
            return _of_ours(self._next_up(event, record))
        if isinstance(event, net.Discarded):
            self._clock.observe(event.time, self._events.now())
        return self._handle(event, record, replayed=False)

    async def take_replayed(self, event: net.NetworkEvent) -> None:
        """Commit an event of the history, which may have been taken long ago. Raises StoreUnavailable."""
        await self._handle(event, await self._records.get(event.device), replayed=True)

    async def _handle(self, event: net.NetworkEvent, record: Record | None, *, replayed: bool) -> None:
        if record is None:
            record = Record()
        try:
            match event:
                case net.Up():
                    await self._up(event, record, replayed=replayed)
                case net.Join():
                    await self._join(event, record)
                case net.TxAck():
                    await self._tx_ack(event)
                case net.Ack():
                    await self._ack(event)
                case net.Discarded():
                    await self._discarded(event, record)
                case net.CounterReset():
                    await self._events.deliver(Joined(event.device, queue_kept=True))
                    log.info("counter reset of %s: %s", event.device, event.text, extra={"sample": "lorawan reset"})
                case net.Notice():
                    said = event.device, event.code, event.text
                    log.info("network server on %s: %s %s", *said, extra={"sample": event.code})
        except UnknownDevice as error:
            _log_unknown(error)

    # Uplinks and sessions

    def _next_up(self, event: net.Up, record: Record) -> Future[None]:
        """Deliver the next uplink of a session; it is remembered once it is committed."""
        self._learn(event, record)
        committed = self._events.deliver(self._content(event, record, self._events.now()))
        committed.add_done_callback(partial(self._committed, event, record))
        return committed

    def _committed(self, event: net.Up, record: Record, committed: Future[None]) -> None:
        if not committed.cancelled() and committed.exception() is None:
            self._remember(event, record)
            if self._outstanding.heard(event.device):
                self._doubts.put(event.device)

    def _remember(self, event: net.Up, record: Record) -> None:
        record.take(event.f_cnt)
        record.uplinks += 1
        record.heard_at = self._events.now()  # also of one that the history tells: later than it was, which is safe
        self._records.changed(event.device, record)

    async def _up(self, event: net.Up, record: Record, *, replayed: bool) -> None:
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

    async def _once(self, event: net.Up, record: Record) -> None:
        """Deliver an uplink of the history, unless it was taken.

        Of the latest counters a crash forgot some, of old ones none are kept (`Records`): the ledger knows.
        """
        content = self._content(event, record, event.time)
        if isinstance(content, Uplink) and await self._events.has_taken(
            content, self._settings.downlinks.exchange_span
        ):
            self._events.count("lorawan_replayed_events")
        else:
            await self._events.deliver(content)

    def _content(self, event: net.Up, record: Record, at: float) -> Uplink | Reachable:
        """Return what is in an uplink for LwM2M; else, that the device was heard."""
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

    def _learn(self, event: net.Up, record: Record) -> None:
        if event.time >= record.seen_at:
            record.seen_at = event.time
            record.dr = event.dr
            record.fits = 0
            record.device_class = event.device_class
            record.region_config = event.region_config
            record.profile = event.profile or record.profile
            if self._records.held(event.device) is not None:
                self._profiles.see(record.profile, record.region_config)

    async def _join(self, event: net.Join, record: Record) -> None:
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
                self._outstanding.drop_all(device)
            await self._events.deliver(Joined(device, queue_kept=not flushed))
            record.new_session(dev_addr, at)
            await self._records.put(device, record)
        else:
            record.new_session(dev_addr, 0.0)  # kept with its first uplink, once that is known to be an endpoint's

    # Downlinks

    def _tx_ack(self, event: net.TxAck) -> Future[None]:
        self._outstanding.transmitted(event.device, event.item)
        return self._events.deliver(Report(event.device, event.item, NetworkState.SENT))

    def _learn_of_downlink(self, event: net.TxAck) -> None:
        """Note that a downlink was transmitted: it is one of this session once that had an uplink."""
        record = self._records.held(event.device)
        if record is None or not record.uplinks:
            return
        if not record.counting or record.rx_delay != event.delay:
            record.counting = True
            record.rx_delay = event.delay or record.rx_delay
            self._records.changed(event.device, record)

    async def _ack(self, event: net.Ack) -> None:
        self._outstanding.drop(event.device, event.item)
        if event.acknowledged:
            await self._events.deliver(Report(event.device, event.item, NetworkState.DELIVERED))
            return
        detail = "the device did not acknowledge the frame"
        await self._events.deliver(Report(event.device, event.item, None, detail, nack=True))

    async def _discarded(self, event: net.Discarded, record: Record) -> None:
        """The network server gave an item up. That it was not transmitted before is not said by it, but to be shown."""
        certain = await self._fates.of_discarded(event)
        self._outstanding.drop(event.device, event.item)
        if event.fits and event.time >= record.seen_at and self._records.held(event.device) is record:
            record.fits = event.fits  # the uplink that brought a slower data rate is told by an event of its own
            self._records.changed(event.device, record)
        if certain:
            report = Report(event.device, event.item, _DISCARDED[event.why], event.text[:_DETAIL])
        else:
            self._events.count("lorawan_discarded_in_doubt")
            text = f"{event.text}; it may have been transmitted before"
            report = Report(event.device, event.item, None, text[:_DETAIL])
        await self._events.deliver(report)


def _of_ours(committed: Future[None]) -> Future[None]:
    """Return a future that completes when `committed` does; that the device is unknown is logged, and no error."""
    over: Future[None] = committed.get_loop().create_future()

    def done(_committed: Future[None]) -> None:
        if over.done():
            return
        error = None if committed.cancelled() else committed.exception()
        if error is None or isinstance(error, UnknownDevice):
            over.set_result(None)
        else:
            over.set_exception(error)
        if isinstance(error, UnknownDevice):
            _log_unknown(error)

    committed.add_done_callback(done)
    return over


def _log_unknown(error: UnknownDevice) -> None:
    log.warning("%s", error, extra={"sample": "lorawan unknown device"})  # the bridge has counted it
