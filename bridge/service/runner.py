"""Runs the one step of every endpoint: load, step, commit, then act.

Effects leave in commit order. The next step of an endpoint may run on state that is not committed yet; if a commit
fails, the endpoint's memory and pending effects are dropped, and it is loaded again.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from bindings.contract import SouthProfile
from bridge.delivery.rows import Change
from bridge.errors import StoreUnavailable
from bridge.relay import events as ev
from bridge.relay.effects import Count, Effect
from bridge.relay.model import Endpoint, Kept, Policy
from bridge.relay.state import EndpointState
from bridge.relay.step import step
from bridge.service.alarms import Alarms
from bridge.service.clock import Clock, moment
from bridge.service.points import reached

log = logging.getLogger(__name__)

IDLE_KEPT = 4096  # quiet endpoints whose memory is kept for the next event; beyond that the longest quiet goes
FAR = 30.0  # seconds: an endpoint that only waits for a time farther off than this needs no memory until then
RELOAD_AFTER = 1.0  # seconds between a failed commit and the next try to take the endpoint up again

CALL_RESULTS = (ev.Submitted, ev.LookedUp, ev.CancelDone)

Done = Callable[[BaseException | None], None]


class Ledger(Protocol):
    """What the runner wants of a store."""

    def load(self, endpoint: int, now: float) -> Kept: ...

    def commit(self, changes: Sequence[Change], done: Done, *, endpoint: int | None = None) -> None: ...

    def next_id(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Placed:
    """An endpoint with what effects need: its number toward servers, and how its network sees it now."""

    endpoint: Endpoint
    source: int | None  # None: it has no address of its own, and is down toward its servers
    south_profile: Callable[[str], SouthProfile]
    takes: bool = True  # False: it is disabled or leaves; nothing new is accepted, what is there gets its outcome


class Actor(Protocol):
    """Does what effects ask for. It never raises; results of network calls come back as events."""

    def act(self, placed: Placed, effect: Effect) -> None: ...


@dataclass(slots=True)
class Loaded:
    """An endpoint in memory. `uncommitted` counts its commits that are not told yet."""

    placed: Placed
    state: EndpointState
    uncommitted: int = 0
    dropped: bool = False


@dataclass(slots=True)
class Runner:
    """All endpoints of this process. `place` finds an endpoint by id, or gives None if it is gone or has no network."""

    store: Ledger
    clock: Clock
    policy: Policy
    place: Callable[[int], Placed | None]
    actor: Actor
    random: Callable[[], float]
    loaded: dict[int, Loaded] = field(default_factory=dict)
    calls: dict[int, int] = field(default_factory=dict)  # endpoint → downlink whose network call is in flight
    _quiet: OrderedDict[int, None] = field(default_factory=OrderedDict)
    _taken_up: set[int] = field(default_factory=set)  # endpoints whose rows in memory are all that the process knows
    _held: dict[int, list[tuple[ev.Event, Done | None]]] = field(default_factory=dict)  # until dropped commits are told
    stopping: bool = False
    _alarms: Alarms = field(init=False)

    def __post_init__(self) -> None:
        self._alarms = Alarms(self._wake)

    def event(self, endpoint: int, event: ev.Event, done: Done | None = None) -> None:
        """Run one step. `done` is called once its changes are committed (None), or with StoreUnavailable."""
        reached("after receive")
        if self.stopping and not isinstance(event, CALL_RESULTS):
            if done is not None:
                done(StoreUnavailable("the service is stopping"))
            return
        held = self._held.get(endpoint)
        if held is not None:
            held.append((event, done))
            return
        loaded = self.loaded.get(endpoint)
        if loaded is None:
            try:
                loaded = self._load(endpoint)
            except StoreUnavailable as error:
                log.warning("endpoint %d cannot be loaded: %s", endpoint, error)
                self._again_later(endpoint)
                if done is not None:
                    done(error)
                return
            if loaded is None or loaded.dropped:
                if done is not None:
                    done(
                        None if loaded is None else StoreUnavailable("the endpoint could not be taken up; see the log")
                    )
                return
        if not loaded.placed.takes and isinstance(event, ev.ServerDatagram | ev.DeviceMessage):
            self.actor.act(loaded.placed, Count("messages_of_disabled_endpoints"))
            if done is not None:
                done(None)
            return
        self._step(endpoint, loaded, event, done)

    def take_up(self, endpoint: int) -> None:
        """See to it that an endpoint with unfinished rows is in memory or has a timer (R32)."""
        if endpoint not in self._taken_up:
            self.event(endpoint, ev.Tick())

    def look(self, endpoint: int) -> Loaded | None:
        """Give an endpoint as it is now, to look at; None if it is gone. One that only waits is read from the store.

        Raises StoreUnavailable.
        """
        self.event(endpoint, ev.Tick())
        found = self.loaded.get(endpoint)
        if found is not None:
            return found
        placed = self.place(endpoint)
        if placed is None:
            return None
        kept = self.store.load(endpoint, moment(self.clock).wall)
        return Loaded(placed, EndpointState(placed.endpoint, self.policy, kept, self.random()))

    def forget(self, endpoint: int) -> None:
        """Drop an endpoint's memory; the next event loads it anew, once the commits that are under way are told."""
        loaded = self.loaded.pop(endpoint, None)
        if loaded is not None:
            loaded.dropped = True
            if loaded.uncommitted:
                self._held.setdefault(endpoint, [])
        self._taken_up.discard(endpoint)
        self._quiet.pop(endpoint, None)
        self._alarms.clear(endpoint)

    def refresh(self, endpoint: int, placed: Placed) -> None:
        """Give an endpoint in memory its new place in the directory."""
        loaded = self.loaded.get(endpoint)
        if loaded is not None:
            loaded.placed = placed
            loaded.state.place(placed.endpoint)

    def call_begins(self, endpoint: int, downlink: int) -> None:
        """Note a network call, so that a reload knows that its answer is still to come."""
        self.calls[endpoint] = downlink

    def call_ends(self, endpoint: int) -> None:
        self.calls.pop(endpoint, None)

    def stop(self) -> None:
        """Take nothing more but the results of network calls in flight; whoever else asks is told to try again."""
        self.stopping = True
        self._alarms.clear_all()

    # -- one step ------------------------------------------------------------------------------------------------

    def _load(self, endpoint: int) -> Loaded | None:
        placed = self.place(endpoint)
        if placed is None:
            return None
        now = moment(self.clock)
        state = EndpointState(placed.endpoint, self.policy, self.store.load(endpoint, now.wall), self.random())
        state.deliveries.call = self.calls.get(endpoint)
        loaded = Loaded(placed, state)
        if endpoint not in self._taken_up:
            self._taken_up.add(endpoint)
            if not state.is_quiet:
                self._step(endpoint, loaded, ev.Started(), None)
        return loaded

    def _step(self, endpoint: int, loaded: Loaded, event: ev.Event, done: Done | None) -> None:
        placed = loaded.placed
        state = loaded.state
        self.loaded[endpoint] = loaded  # the step of `Started` may have let it go
        try:
            result = step(
                state,
                event,
                moment(self.clock),
                placed.south_profile(placed.endpoint.device),
                self.random,
                self.store.next_id,
            )
        except Exception as error:  # noqa: BLE001  # whatever it is, the others must go on
            self._broken(endpoint, loaded, event, done, error)
            return
        if result.changes or loaded.uncommitted:
            loaded.uncommitted += 1
            told = partial(self._committed, endpoint, loaded, placed, result.effects, done)
            self.store.commit(result.changes, told, endpoint=endpoint)
        else:
            self._release(placed, result.effects)
            if done is not None:
                done(None)
        if result.wake is None:
            self._alarms.clear(endpoint)
        elif not self.stopping:
            self._alarms.set(endpoint, result.wake)
        self._let_go(endpoint, loaded, result.wake)

    def _broken(self, endpoint: int, loaded: Loaded, event: ev.Event, done: Done | None, error: BaseException) -> None:
        """A step raised, by a mistake of ours or of a binding: nothing of it is kept, and the endpoint starts anew."""
        name = loaded.placed.endpoint.name
        extra = {"sample": "step failed"}
        log.error("endpoint %s: a step failed, its memory is dropped", name, exc_info=error, extra=extra)
        self.forget(endpoint)
        self.actor.act(loaded.placed, Count("failed_steps", type(event).__name__))
        self._again_later(endpoint)
        if done is not None:
            done(StoreUnavailable(f"endpoint {name}: the message could not be stored; see the log"))

    def _committed(
        self,
        endpoint: int,
        loaded: Loaded,
        placed: Placed,
        effects: list[Effect],
        done: Done | None,
        error: BaseException | None,
    ) -> None:
        loaded.uncommitted -= 1
        if error is not None:
            if not loaded.dropped:
                name = placed.endpoint.name
                log.error(
                    "endpoint %s: commit failed, its memory is dropped: %s",
                    name,
                    error,
                    extra={"sample": "commit failed"},
                )
                self.actor.act(placed, Count("failed_commits"))
                self.forget(endpoint)
                self._again_later(endpoint)
        else:
            reached("after commit")
            self._release(placed, effects)
            if not loaded.uncommitted and self.loaded.get(endpoint) is loaded and loaded.state.is_quiet:
                self._note_quiet(endpoint)
        if done is not None:
            done(error)
        if loaded.dropped and not loaded.uncommitted:
            for event, then in self._held.pop(endpoint, ()):
                self.event(endpoint, event, then)

    def _release(self, placed: Placed, effects: list[Effect]) -> None:
        for effect in effects:
            self.actor.act(placed, effect)

    # -- memory and time -----------------------------------------------------------------------------------------

    def _let_go(self, endpoint: int, loaded: Loaded, wake: float | None) -> None:
        """Let memory go where it is not needed: quiet endpoints in their turn, far-off waits at once."""
        state = loaded.state
        if wake is None and state.is_quiet:
            if not loaded.uncommitted:
                self._note_quiet(endpoint)
            return
        self._quiet.pop(endpoint, None)
        if wake is None or wake <= FAR or loaded.uncommitted:
            return
        d = state.deliveries
        doubts = d.cancelling or d.to_look_up or d.released or d.presumed
        timers = state.empty_ack_due or state.hold_due or state.retransmissions
        if not (d.call is not None or doubts or timers or state.exchanges.is_refusing(moment(self.clock).wall)):
            del self.loaded[endpoint]

    def _note_quiet(self, endpoint: int) -> None:
        self._quiet[endpoint] = None
        self._quiet.move_to_end(endpoint)
        while len(self._quiet) > IDLE_KEPT:
            oldest, _ = self._quiet.popitem(last=False)
            candidate = self.loaded.get(oldest)
            if candidate is not None and candidate.state.is_quiet and not candidate.uncommitted:
                del self.loaded[oldest]

    def _wake(self, endpoint: int) -> None:
        self.event(endpoint, ev.Tick())

    def _again_later(self, endpoint: int) -> None:
        if not self.stopping:
            self._alarms.set(endpoint, RELOAD_AFTER)
