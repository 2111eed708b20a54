"""The radio side: UEs, their states and timers, and what passes on air. No I/O, no clock; randomness is passed in."""

import random
from collections import Counter, deque
from enum import Enum
from typing import Any, Protocol

from mock_network.scef.messages import AirEntry
from mock_network.scef.model import Delivery, Ue
from mock_network.scef.tables import HAS_PDN, IDLE, PAGEABLE, TRANSITIONS, Situation, UeState, UeTrigger
from mock_network.scef.timers import Timers

PAGING_GIVES_UP = 10.0  # seconds; T3413 and its repetitions are the network's choice (TS 24.301 §10.2)
AIR_LOG_LENGTH = 200_000  # lines

_INACTIVITY, _T3324, _T3412, _WINDOW, _AIR, _UPLINK = "inactivity", "t3324", "t3412", "window", "air", "uplink"
TIMERS = frozenset({_INACTIVITY, _T3324, _T3412, _WINDOW, _AIR, _UPLINK})

# Triggers that need the UE to be heard, or to hear.
_NEED_COVERAGE = frozenset(
    {UeTrigger.ATTACH, UeTrigger.PDN_CONNECT, UeTrigger.UPLINK, UeTrigger.PAGED, UeTrigger.TAU, UeTrigger.WAKE}
)


class Carried(Enum):
    """What became of a downlink on air."""

    DELIVERED = "delivered"
    LOST = "lost on air"
    UNREACHABLE = "paging failed"
    NO_PDN = "no PDN connection"


class Listener(Protocol):
    """Who is told of what happens on air."""

    def on_contact(self, ue: Ue, now: float) -> None:
        """Take note that the UE can be reached now."""

    def on_uplink(self, ue: Ue, data: bytes, number: int, now: float) -> None:
        """Take data that has arrived; `number` is that of its air log line."""

    def on_carried(self, ue: Ue, delivery: Delivery, carried: Carried, now: float) -> None:
        """Take the end of a transmission."""


class Cell:
    """All UEs of the emulated network."""

    def __init__(self, listener: Listener, timers: Timers, rng: random.Random, *, default_size: int) -> None:
        self.ues: dict[str, Ue] = {}
        self.counts: Counter[str] = Counter()
        self.air: deque[AirEntry] = deque(maxlen=AIR_LOG_LENGTH)
        self._listener = listener
        self._timers = timers
        self._rng = rng
        self._default_size = default_size
        self._numbers = 0
        self._uplinks: dict[str, tuple[Ue, bytes, int]] = {}

    def log(self, now: float, ue: str, what: str, **detail: Any) -> int:
        """Write one line of the air log and give its number."""
        self._numbers += 1
        self.air.append(AirEntry(self._numbers, now, ue, what, detail))
        self.counts[what] += 1
        return self._numbers

    def add(self, ue: Ue, now: float) -> None:
        """Switch a new UE on."""
        self.ues[ue.name] = ue
        ue.since = now
        if ue.settings.attached:
            self.move(ue, UeTrigger.ATTACH, now)

    def remove(self, ue: Ue, now: float) -> None:
        """Take a UE away for good."""
        self.move(ue, UeTrigger.DETACH, now)
        self._timers.cancel((_AIR, ue.name))
        del self.ues[ue.name]

    def situation(self, ue: Ue) -> Situation:
        """Give what the network believes of a UE."""
        if ue.state not in HAS_PDN:
            return Situation.NO_PDN
        return Situation.UNREACHABLE if ue.suspected or ue.state not in PAGEABLE else Situation.REACHABLE

    def next_contact(self, ue: Ue) -> float | None:
        """Give when the UE will listen again, as far as the network can know."""
        moments = [self._timers.when((_T3412, ue.name))]
        if ue.state is UeState.EDRX_SLEEP and not ue.suspected:
            moments.append(self._timers.when((_WINDOW, ue.name)))
        return min((moment for moment in moments if moment is not None), default=None)

    def move(self, ue: Ue, trigger: UeTrigger, now: float) -> bool:
        """Apply one trigger; False if it is void in the UE's state."""
        if trigger in _NEED_COVERAGE and not ue.settings.in_coverage:
            return False
        target = TRANSITIONS.get((ue.state, trigger))
        if target is None:
            return False
        before = ue.state
        ue.state = target if isinstance(target, UeState) else self._idle_state(ue)
        if ue.state is not before:
            ue.since = now
            self.log(now, ue.name, "state", state=ue.state.value, before=before.value, cause=trigger.value)
        self._arm(ue, target, now)
        if trigger in _NEED_COVERAGE:
            ue.suspected = False
        if ue.state is UeState.ATTACHED_NO_PDN and (
            ue.trigger_pending or (trigger is UeTrigger.ATTACH and ue.settings.pdn)
        ):
            ue.trigger_pending = False
            self.move(ue, UeTrigger.PDN_CONNECT, now)
        elif self.situation(ue) is Situation.REACHABLE:
            self._listener.on_contact(ue, now)
        return True

    def coverage(self, ue: Ue, now: float) -> None:
        """Act on a change of `in_coverage`: who comes back updates its tracking area."""
        self.log(now, ue.name, "coverage", in_coverage=ue.settings.in_coverage)
        if ue.settings.in_coverage and not self.move(ue, UeTrigger.TAU, now) and ue.state is UeState.DETACHED:
            self.log(now, ue.name, "still-detached")

    def trigger(self, ue: Ue, now: float) -> None:
        """Let a device trigger arrive: an attached UE that takes triggers connects, others do when they attach."""
        taken = ue.settings.accepts_trigger and ue.state is UeState.ATTACHED_NO_PDN and ue.settings.in_coverage
        self.log(now, ue.name, "trigger", taken=taken)
        if taken:
            self.move(ue, UeTrigger.PDN_CONNECT, now)
        elif ue.settings.accepts_trigger and ue.state not in HAS_PDN:
            ue.trigger_pending = True

    def uplink(self, ue: Ue, data: bytes, now: float) -> None:
        """Let the modem send what its application hands in, or drop it as a modem does."""
        settings = ue.settings
        size = settings.uplink_packet_size or settings.maximum_packet_size or self._default_size
        reason = None
        if ue.state not in HAS_PDN:
            reason = "no PDN connection"
        elif len(data) * 8 > size:
            reason = "too large"
        elif ue.up_rate.wait(now, settings.uplink_rate, settings.rate_window):
            reason = "rate control"
        elif not settings.in_coverage:
            reason = "no coverage"
        if reason is not None:
            self.log(now, ue.name, "uplink-dropped", reason=reason, data=data.hex())
            return
        ue.up_rate.take(now, settings.rate_window)
        number = self.log(now, ue.name, "uplink", data=data.hex())
        self.move(ue, UeTrigger.UPLINK, now)
        if settings.loss_up and self._rng.random() < settings.loss_up:
            self.log(now, ue.name, "uplink-lost", reason="lost on air", uplink=number)
            return
        ue.last_arrival = max(ue.last_arrival, now + ue.latency(self._rng))
        self._uplinks[str(number)] = (ue, data, number)
        self._timers.set((_UPLINK, str(number)), ue.last_arrival)

    def send(self, ue: Ue, delivery: Delivery, now: float) -> None:
        """Begin to transmit; the listener is told the end. The UE must be reachable and have nothing in flight."""
        ue.in_flight = delivery
        took = ue.latency(self._rng)
        if ue.state is not UeState.CONNECTED:
            self.log(now, ue.name, "page", delivery=delivery.id)
            took += ue.settings.paging_latency
        if not self.move(ue, UeTrigger.PAGED, now):
            took = PAGING_GIVES_UP
        self._timers.set((_AIR, ue.name), now + took)

    def fire(self, kind: str, name: str, now: float) -> None:
        """Act on one of `TIMERS`."""
        if kind == _UPLINK:
            ue, data, number = self._uplinks.pop(name)
            self._listener.on_uplink(ue, data, number, now)
            return
        ue = self.ues[name]
        if kind == _AIR:
            self._carried(ue, now)
        elif kind == _INACTIVITY:
            if ue.in_flight is not None:
                self._timers.set((_INACTIVITY, name), now + ue.settings.inactivity)
            else:
                self.move(ue, UeTrigger.INACTIVE, now)
        elif kind == _T3324:
            self.move(ue, UeTrigger.ACTIVE_TIME_OVER, now)
        elif kind == _T3412:
            self.log(now, ue.name, "tau", heard=ue.settings.in_coverage)
            self.move(ue, UeTrigger.TAU, now)
        elif ue.state is UeState.EDRX_PTW:
            if ue.settings.edrx_cycle is not None:  # else eDRX was switched off: it keeps listening
                self.move(ue, UeTrigger.WINDOW_CLOSES, now)
        else:
            self.move(ue, UeTrigger.WINDOW_OPENS, now)

    def _carried(self, ue: Ue, now: float) -> None:
        delivery, ue.in_flight = ue.in_flight, None
        if delivery is None:
            return
        settings = ue.settings
        if ue.state not in HAS_PDN:
            carried = Carried.NO_PDN
        elif not settings.in_coverage:
            carried, ue.suspected = Carried.UNREACHABLE, True
        elif settings.loss_down and self._rng.random() < settings.loss_down:
            carried = Carried.LOST
        else:
            carried = Carried.DELIVERED
        what = "downlink" if carried is Carried.DELIVERED else "downlink-lost"
        detail = {} if carried is Carried.DELIVERED else {"reason": carried.value}
        self.log(now, ue.name, what, delivery=delivery.id, data=delivery.data.hex(), **detail)
        self._listener.on_carried(ue, delivery, carried, now)
        if carried is Carried.DELIVERED:
            self.move(ue, UeTrigger.PAGED, now)  # data restarts the inactivity timer
        elif self.situation(ue) is Situation.REACHABLE:
            self._listener.on_contact(ue, now)

    @staticmethod
    def _idle_state(ue: Ue) -> UeState:
        if ue.settings.t3324 == 0:
            return UeState.PSM
        return UeState.IDLE_ACTIVE if ue.settings.edrx_cycle is None else UeState.EDRX_PTW

    def _arm(self, ue: Ue, target: UeState | str, now: float) -> None:
        """Set the timers of the state just entered."""
        timers, settings, name = self._timers, ue.settings, ue.name
        keys = {kind: (kind, name) for kind in (_INACTIVITY, _T3324, _T3412, _WINDOW)}
        timers.cancel(keys[_WINDOW], keys[_INACTIVITY])
        if ue.state in {UeState.DETACHED, UeState.ATTACHED_NO_PDN, UeState.CONNECTED}:
            timers.cancel(keys[_T3324], keys[_T3412])
        if ue.state is UeState.CONNECTED:
            timers.set(keys[_INACTIVITY], now + settings.inactivity)
        elif target == IDLE:
            if settings.t3324:
                timers.set(keys[_T3324], now + settings.t3324)
            if settings.t3412 is not None:
                timers.set(keys[_T3412], now + settings.t3412)
        if ue.state is UeState.PSM:
            timers.cancel(keys[_T3324])
            if settings.t3412 is not None and timers.when(keys[_T3412]) is None:
                timers.set(keys[_T3412], now + settings.t3412)
        elif ue.state is UeState.EDRX_PTW:
            timers.set(keys[_WINDOW], now + settings.edrx_ptw)
        elif ue.state is UeState.EDRX_SLEEP and settings.edrx_cycle is not None:
            timers.set(keys[_WINDOW], now + max(0.0, settings.edrx_cycle - settings.edrx_ptw))
