"""Processes events of the network server's history: most were processed long ago, some were missed.

The session of an event is found from its position in the history and the network server's current session. Whether an
uplink was processed is found from the device's note if that is certain, else from the ledger. Times prove nothing.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bindings.contract import Events
from bindings.lorawan import network_events as net
from bindings.lorawan.notes import DeviceNote, DeviceNotes
from bindings.lorawan.provider import DeviceSnapshot
from bindings.lorawan.reports import Reports
from bindings.lorawan.uplinks import Uplinks
from bridge.errors import UnknownDevice

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Course:
    """The state while a history is processed. A place is an index in the history."""

    dev_addr: str  # the session in the device's note
    is_newest: bool  # it is the network server's current one: events of other sessions are older
    known: DeviceNote  # of the frame counters: before the history was read, and what it has shown since
    first: int | None = None  # place where our session begins: before it events of others are older
    latest: int = -1  # place of the latest uplink that was known; -1: it is not in the history
    reused: bool = False  # frame counters may have been used again: an uplink that looks processed may be new
    last: int = -1  # frame counter of the uplink before


class Replay:
    """Processes the histories of one network instance's devices."""

    def __init__(self, records: DeviceNotes, uplinks: Uplinks, reports: Reports, events: Events) -> None:
        self._records = records
        self._uplinks = uplinks
        self._reports = reports
        self._events = events

    async def process(
        self, device: str, history: Sequence[net.NetworkEvent], snapshot: DeviceSnapshot, before: DeviceNote
    ) -> None:
        """Commit the missed events of a device's history, oldest first. Raises StoreUnavailable.

        `snapshot` and `before`, a copy of the device's note, are from before the history was read. Live events continue
        changing the note itself.
        """
        record = await self._records.get(device) or DeviceNote()
        same = record.dev_addr == before.dev_addr  # else a live event has begun our session since then
        course = _course(history, before if same else DeviceNote(dev_addr=record.dev_addr), snapshot)
        course.is_newest |= not same
        for place, event in enumerate(history):
            try:
                match event:
                    case net.DataUplink():
                        await self._up(event, record, course, place)
                    case net.Join():
                        await self._join(event, record, course, place)
                    case net.CounterReset():
                        course.reused = True
                    case net.TxAck():
                        await self._reports.transmitted(event)
                        self._reports.forget_transmitted(event)
                    case net.Ack():
                        await self._reports.acknowledged(event)
                    case net.Discarded():
                        await self._reports.discarded(event)
            except UnknownDevice as error:
                log.warning("%s", error, extra={"sample": "lorawan unknown device"})  # the bridge counted it

    async def _up(self, event: net.DataUplink, record: DeviceNote, course: _Course, place: int) -> None:
        if _is_former(event, record, course, place):
            await self._uplinks.deliver_once(event, record)  # it no longer applies
            return
        if event.dev_addr != record.dev_addr:
            await self._begin(event, record, course)
        if record.highest < course.known.highest:
            course.known.restart_counters()  # a live event has shown the counter to begin anew
        if place > course.latest >= 0:
            course.reused = True
        elif course.latest < 0:
            course.reused |= event.f_cnt < course.last or event.time > record.seen_at
        course.last = event.f_cnt
        seen = record.has_seen(event.f_cnt)
        if seen and not course.reused:
            self._events.count("lorawan_replayed_events")
            return
        new = await self._uplinks.deliver_once(event, record)
        newer = place > course.latest and course.reused
        # Used again is what was used before the history was read, or earlier in it. What a live event has brought since
        # is the same uplink.
        if new and newer and (course.known.has_seen(event.f_cnt) or course.known.counter_fell_back(event.f_cnt)):
            course.known.restart_counters()
            await self._uplinks.restart_counters(event, record)
        course.known.record_uplink(event.f_cnt)
        self._uplinks.learn(event, record)
        self._uplinks.remember(event, record)

    async def _join(self, event: net.Join, record: DeviceNote, course: _Course, place: int) -> None:
        if event.dev_addr == record.dev_addr or _is_former(event, record, course, place):
            self._events.count("lorawan_replayed_events")
            return
        await self._begin(event, record, course)

    async def _begin(self, event: net.DataUplink | net.Join, record: DeviceNote, course: _Course) -> None:
        await self._uplinks.begin_session(event, record)
        course.dev_addr, course.first, course.latest, course.reused, course.last = event.dev_addr, None, -1, False, -1
        course.known = DeviceNote(dev_addr=event.dev_addr)


def _course(history: Sequence[net.NetworkEvent], before: DeviceNote, snapshot: DeviceSnapshot) -> _Course:
    session = snapshot.session
    course = _Course(before.dev_addr, session is not None and session.dev_addr == before.dev_addr, before)
    f_cnts = []
    for place, one in enumerate(history):
        if not isinstance(one, net.DataUplink | net.Join) or one.dev_addr != before.dev_addr:
            continue
        course.first = place if course.first is None else course.first
        if isinstance(one, net.DataUplink):
            f_cnts.append(one.f_cnt)
            if (one.f_cnt, one.time) == (before.highest, before.seen_at):
                course.latest = place
    counter_fell_back = any(later <= earlier for earlier, later in pairwise(f_cnts))
    below_ours = course.is_newest and session is not None and session.f_cnt_up <= before.highest
    course.reused = counter_fell_back or (course.latest < 0 and below_ours)
    return course


def _is_former(event: net.DataUplink | net.Join, record: DeviceNote, course: _Course, place: int) -> bool:
    """Return whether an event belongs to a former session."""
    if record.dev_addr != course.dev_addr:  # a live event has begun another one meanwhile
        course.dev_addr, course.is_newest, course.latest, course.last = record.dev_addr, True, -1, -1
        course.known = DeviceNote(dev_addr=record.dev_addr)
    return event.dev_addr != record.dev_addr and (course.is_newest or place < (course.first or 0))
