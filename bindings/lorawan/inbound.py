"""Translates the network server's live events for the bridge. They come in any order, twice or late."""

import logging
from asyncio import Future
from collections.abc import Awaitable, Callable
from functools import partial
from math import inf

from bindings.commits import Commit, when_done
from bindings.contract import MISS, Events
from bindings.lorawan import network_events as net
from bindings.lorawan.clock import NetworkClock
from bindings.lorawan.notes import DeviceNote, DeviceNotes
from bindings.lorawan.outstanding import DoubtfulDevices, Outstanding
from bindings.lorawan.radio import learn
from bindings.lorawan.reports import Reports
from bindings.lorawan.uplinks import Uplinks
from bridge.errors import UnknownDevice

log = logging.getLogger(__name__)

OVERTAKEN = 60.0  # seconds after a new session in which an event of the former one may still come


class Inbound:
    """Translates events to those of the contract, and updates the notes of devices.

    A device whose downlink should have been sent with an uplink, without an event that says so, is put into `doubts`.
    """

    def __init__(
        self,
        records: DeviceNotes,
        outstanding: Outstanding,
        uplinks: Uplinks,
        reports: Reports,
        clock: NetworkClock,
        doubts: DoubtfulDevices,
        events: Events,
    ) -> None:
        self._records = records
        self._outstanding = outstanding
        self._uplinks = uplinks
        self._reports = reports
        self._clock = clock
        self._doubts = doubts
        self._events = events

    def commit(self, event: net.NetworkEvent, *, within: float = inf) -> Awaitable[None]:
        """Commit a live event. What was made longer than `within` seconds ago may have waited, and shows no clock.

        The awaitable raises StoreUnavailable; NotServedHere, if another node serves the device: then nothing changed.
        """
        if isinstance(event, net.TxAck | net.Discarded):
            now = self._events.now()
            if event.time >= now - within:
                self._clock.observe(event.time, now)
        record = self._records.cached(event.device)
        if record is MISS:
            return self._process_when_read(event, self._records.heard(event.device))
        return self._process(event, record)

    async def _process_when_read(self, event: net.NetworkEvent, read: Future[bytes | None]) -> None:
        await self._process(event, await self._records.when_read(event.device, read))

    def _process(self, event: net.NetworkEvent, record: DeviceNote | None) -> Awaitable[None]:
        # Events of every exchange are processed without a task of their own.
        if isinstance(event, net.TxAck):
            self._learn_of_downlink(event)
            return _of_ours(self._reports.transmitted(event), partial(self._reports.forget_transmitted, event))
        if (
            isinstance(event, net.DataUplink)
            and record is not None
            and record.continues(event.dev_addr, event.f_cnt, event.time)
        ):
            return self._next_up(event, record)
        return self._handle(event, record or DeviceNote())

    async def _handle(self, event: net.NetworkEvent, record: DeviceNote) -> None:
        await self._events.check_served(event.device)  # before the note is changed
        try:
            match event:
                case net.DataUplink():
                    await self._up(event, record)
                case net.Join():
                    await self._join(event, record)
                case net.Ack():
                    await self._reports.acknowledged(event)
                case net.Discarded():
                    self._learn_of_size(event, record)
                    await self._reports.discarded(event)
                case net.CounterReset():
                    self._expect_reset(event, record)
                case net.Notice():
                    said = event.device, event.code, event.text
                    log.info("network server on %s: %s %s", *said, extra={"sample": event.code})
        except UnknownDevice as error:
            _log_unknown(error)

    # Uplinks and sessions

    def _next_up(self, event: net.DataUplink, record: DeviceNote) -> Future[None]:
        """Deliver the next uplink of a session; it is remembered after its commit, before whoever waits for that."""
        self._uplinks.learn(event, record)
        committed = self._uplinks.deliver(event, record, self._events.now())
        return _of_ours(committed, partial(self._remember, event, record))

    def _remember(self, event: net.DataUplink, record: DeviceNote) -> None:
        self._uplinks.remember(event, record)
        if self._outstanding.is_late(event.device):
            self._doubts.add(event.device)

    async def _up(self, event: net.DataUplink, record: DeviceNote) -> None:
        if self._was_overtaken(event, record):
            await self._uplinks.deliver(event, record, self._events.now())
            return
        if event.dev_addr != record.dev_addr:
            # Events can overtake each other: the join of this session may still come, or was lost.
            await self._uplinks.begin_session(event, record)
        elif record.counter_restarted(event.f_cnt, event.time) and not await self._uplinks.was_taken(event, record):
            await self._uplinks.restart_counters(event, record)
        await self._next_up(event, record)

    async def _join(self, event: net.Join, record: DeviceNote) -> None:
        if event.dev_addr in (record.dev_addr, record.former):
            # An uplink of the new session was quicker, or a broker brings an old join again. Should a new session have
            # the former one's address, its first uplink begins it.
            self._events.count("lorawan_replayed_events")
            return
        await self._uplinks.begin_session(event, record)

    def _was_overtaken(self, event: net.DataUplink | net.Join, record: DeviceNote) -> bool:
        """Return whether an event is late and of the former session: it no longer applies."""
        return event.dev_addr == record.former and abs(self._events.now() - record.session_at) < OVERTAKEN

    def _expect_reset(self, event: net.CounterReset, record: DeviceNote) -> None:
        """Remember that an uplink was refused for its low counter: one that is accepted with a low counter is new.

        Such an uplink ends no exchange: anybody can cause it by sending a recorded frame again.
        """
        log.info("device %s counts its frames anew: %s", event.device, event.text, extra={"sample": "lorawan reset"})
        if self._records.held(event.device) is record:
            record.reset_expected = True
            self._records.changed(event.device, record)

    # Downlinks

    def _learn_of_downlink(self, event: net.TxAck) -> None:
        """Record that a downlink was transmitted: in this session, if that has had an uplink."""
        record = self._records.held(event.device)
        if record is None or not record.uplinks:
            return
        region = self._records.profile(record.profile).region
        learned = learn(record, region, event, self._events.now())
        if learned or not record.counting or record.rx_delay != event.delay:
            record.counting = True
            record.rx_delay = event.delay or record.rx_delay
            self._records.changed(event.device, record)

    def _learn_of_size(self, event: net.Discarded, record: DeviceNote) -> None:
        """Record the size that would have fit, until the next uplink, which may have overtaken this event."""
        if event.fits and self._records.held(event.device) is record:
            record.fits = event.fits
            self._records.changed(event.device, record)


def _of_ours(committed: Future[None], then: Callable[[], None] | None = None) -> Commit:
    """Return a commit that completes when `committed` does; an unknown device is only logged.

    `then` is called before that, unless it failed.
    """
    over = Commit(loop=committed.get_loop())

    def done(_committed: Future[None]) -> None:
        error = None if committed.cancelled() else committed.exception()
        if isinstance(error, UnknownDevice):
            _log_unknown(error)
            over.complete(None)
            return
        try:
            if then is not None and error is None and not committed.cancelled():
                then()
        finally:
            over.complete(error)

    when_done(committed, done)
    return over


def _log_unknown(error: UnknownDevice) -> None:
    log.warning("%s", error, extra={"sample": "lorawan unknown device"})  # the bridge counted it
