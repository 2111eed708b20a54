"""UEs as the network sees them: their states, the timers that move them, and whether they can be reached now."""

from typing import NamedTuple, Protocol

from mock_network.scef.core.context import Context
from mock_network.scef.core.states import (
    HAS_PDN,
    IDLE,
    NEED_COVERAGE,
    PAGEABLE,
    TRANSITIONS,
    UPDATES,
    Situation,
    UeState,
    UeTrigger,
)
from mock_network.scef.core.ue import Ue

REACHABLE_MARGIN = 240.0  # seconds; the mobile reachable timer is T3412 and four minutes (TS 24.301 §5.3.5)

_INACTIVITY, _T3324, _T3412, _WINDOW, _LOST = "inactivity", "T3324", "T3412", "window", "mobile reachable"


class Reach(NamedTuple):
    """What can be done with a UE now."""

    data: bool  # Non-IP data can be sent
    sms: bool
    pdn: bool  # it has a PDN connection, asleep or not


class CellListener(Protocol):
    """Is called when UEs move."""

    def on_contact(self, ue: Ue, now: float) -> None:
        """Act on a UE that can be reached now, for data or SMS; called whenever it was heard."""

    def on_moved(self, ue: Ue, trigger: UeTrigger, was: Reach, before: UeState, now: float) -> None:
        """Act on a UE that a trigger has moved, perhaps into the state that it was in."""

    def on_lost(self, ue: Ue, now: float) -> None:
        """Act on a UE that has been silent for longer than it may be."""


class Cell:
    """All UEs of the emulated network."""

    def __init__(self, context: Context, listener: CellListener) -> None:
        self.ues: dict[str, Ue] = {}
        self._context, self._timers, self._air = context, context.timers, context.air
        self._listener = listener
        for kind, handler in (
            (_INACTIVITY, self._inactive),
            (_T3324, self._active_time_over),
            (_T3412, self._tracking_area_update),
            (_WINDOW, self._window),
            (_LOST, self._lost),
        ):
            self._timers.handle(kind, handler)

    def add(self, ue: Ue, now: float) -> None:
        """Switch a new UE on."""
        self.ues[ue.name] = ue
        ue.since = now
        if ue.settings.attached:
            self.move(ue, UeTrigger.ATTACH, now)

    def remove(self, ue: Ue, now: float) -> None:
        """Remove a UE."""
        self.move(ue, UeTrigger.DETACH, now)
        self._timers.cancel(ue.name, _LOST)
        del self.ues[ue.name]

    # Whether it can be reached

    def situation(self, ue: Ue) -> Situation:
        """Return the network's view of a UE."""
        if ue.state not in HAS_PDN:
            return Situation.NO_PDN
        return Situation.UNREACHABLE if ue.silent or ue.state not in PAGEABLE else Situation.REACHABLE

    def reach(self, ue: Ue) -> Reach:
        """Return whether the network believes that a UE can be reached."""
        data = self.situation(ue) is Situation.REACHABLE
        return Reach(data, data or (ue.state is UeState.ATTACHED_NO_PDN and not ue.silent), ue.state in HAS_PDN)

    def next_contact(self, ue: Ue) -> float | None:
        """Return when the UE will listen again, as far as the network can know."""
        moments = [self._timers.when(_T3412, ue.name)]
        if ue.state is UeState.EDRX_SLEEP and not ue.silent:
            moments.append(self._timers.when(_WINDOW, ue.name))
        return min((moment for moment in moments if moment is not None), default=None)

    def available_until(self, ue: Ue, now: float) -> float | None:
        """Return until when a UE that can be reached now will listen at least; None: no end is known."""
        if ue.state is UeState.CONNECTED:
            return None if ue.t3324 is None else now + ue.settings.inactivity + ue.t3324
        kind = _T3324 if ue.state is UeState.IDLE_ACTIVE else _WINDOW
        return self._timers.when(kind, ue.name)

    # What moves it

    def move(self, ue: Ue, trigger: UeTrigger, now: float) -> bool:
        """Apply one trigger; return False if it is void in the UE's state."""
        if trigger in NEED_COVERAGE and not ue.settings.in_coverage:
            return False
        target = TRANSITIONS.get((ue.state, trigger))
        if target is None:
            return False
        before, was = ue.state, self.reach(ue)
        ue.state = target if isinstance(target, UeState) else self._idle_state(ue)
        if ue.state is not before:
            ue.since = now
            self._air.write(now, ue.name, "state", state=ue.state.value, before=before.value, cause=trigger.value)
        if trigger in UPDATES:
            ue.granted_t3324, ue.granted_t3412 = ue.provisioned_t3324, ue.provisioned_t3412
        self._arm(ue, target, now)
        if trigger in NEED_COVERAGE:
            ue.silent = ue.reported_lost = False
        self._listener.on_moved(ue, trigger, was, before, now)
        if ue.state is UeState.ATTACHED_NO_PDN and (
            ue.trigger_pending or (trigger is UeTrigger.ATTACH and ue.settings.pdn)
        ):
            ue.trigger_pending = False
            self.move(ue, UeTrigger.PDN_CONNECT, now)
        elif self.reach(ue).sms:
            self._listener.on_contact(ue, now)
        return True

    def coverage(self, ue: Ue, now: float) -> None:
        """Act on a change of `in_coverage`: who comes back updates its tracking area."""
        self._air.write(now, ue.name, "coverage", in_coverage=ue.settings.in_coverage)
        if ue.settings.in_coverage and not self.move(ue, UeTrigger.TAU, now) and ue.state is UeState.DETACHED:
            self._air.write(now, ue.name, "still-detached")

    def trigger(self, ue: Ue, now: float) -> None:
        """Let a device trigger of the SCEF arrive: an attached UE that takes triggers connects, others do later."""
        taken = ue.settings.accepts_trigger and ue.state is UeState.ATTACHED_NO_PDN and ue.settings.in_coverage
        self._air.write(now, ue.name, "trigger", taken=taken)
        if taken:
            self.move(ue, UeTrigger.PDN_CONNECT, now)
        elif ue.settings.accepts_trigger and ue.state not in HAS_PDN:
            ue.trigger_pending = True

    def watch_for_loss(self, ue: Ue, now: float) -> None:
        """Begin anew to wait for a sign of life of an idle UE; call it when `detection_time` has changed."""
        self._timers.cancel(ue.name, _LOST)
        patience = ue.detection_time
        if patience is None and ue.t3412 is not None:
            patience = ue.t3412 + REACHABLE_MARGIN
        if patience is not None and ue.state in HAS_PDN and ue.state is not UeState.CONNECTED:
            self._timers.set(_LOST, ue.name, now + patience)

    # Timers

    def _inactive(self, name: str, now: float) -> None:
        ue = self.ues[name]
        if ue.in_flight is not None or ue.sms_in_flight is not None:
            self._timers.set(_INACTIVITY, name, now + ue.settings.inactivity)
        else:
            self.move(ue, UeTrigger.INACTIVE, now)

    def _active_time_over(self, name: str, now: float) -> None:
        self.move(self.ues[name], UeTrigger.ACTIVE_TIME_OVER, now)

    def _tracking_area_update(self, name: str, now: float) -> None:
        ue = self.ues[name]
        self._air.write(now, name, "tau", heard=ue.settings.in_coverage)
        self.move(ue, UeTrigger.TAU, now)

    def _window(self, name: str, now: float) -> None:
        ue = self.ues[name]
        if ue.state is not UeState.EDRX_PTW:
            self.move(ue, UeTrigger.WINDOW_OPENS, now)
        elif ue.settings.edrx_cycle is not None:  # else eDRX was switched off: it keeps listening
            self.move(ue, UeTrigger.WINDOW_CLOSES, now)

    def _lost(self, name: str, now: float) -> None:
        ue = self.ues[name]
        ue.silent = ue.reported_lost = True
        self._air.write(now, name, "connectivity-lost")
        self._listener.on_lost(ue, now)

    @staticmethod
    def _idle_state(ue: Ue) -> UeState:
        if ue.t3324 == 0:
            return UeState.PSM
        return UeState.IDLE_ACTIVE if ue.settings.edrx_cycle is None else UeState.EDRX_PTW

    def _arm(self, ue: Ue, target: UeState | str, now: float) -> None:
        """Set the timers of the state just entered."""
        timers, settings, name = self._timers, ue.settings, ue.name
        timers.cancel(name, _WINDOW, _INACTIVITY)
        if ue.state in {UeState.DETACHED, UeState.ATTACHED_NO_PDN, UeState.CONNECTED}:
            timers.cancel(name, _T3324, _T3412, _LOST)
        if ue.state is UeState.CONNECTED:
            timers.set(_INACTIVITY, name, now + settings.inactivity)
        elif target == IDLE:
            if ue.t3324:
                timers.set(_T3324, name, now + ue.t3324)
            if ue.t3412 is not None:
                timers.set(_T3412, name, now + ue.t3412)
            self.watch_for_loss(ue, now)
        if ue.state is UeState.PSM:
            timers.cancel(name, _T3324)
            if ue.t3412 is not None and timers.when(_T3412, name) is None:
                timers.set(_T3412, name, now + ue.t3412)
        elif ue.state is UeState.EDRX_PTW:
            timers.set(_WINDOW, name, now + settings.edrx_ptw)
        elif ue.state is UeState.EDRX_SLEEP and settings.edrx_cycle is not None:
            timers.set(_WINDOW, name, now + max(0.0, settings.edrx_cycle - settings.edrx_ptw))
