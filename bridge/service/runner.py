"""Runs the steps of all endpoints: load, step, commit, then release effects.

Effects are released in the order of commits. The next step of an endpoint may run on state that is not committed yet;
if a commit fails, the endpoint's memory and pending effects are dropped, and it is loaded again.
"""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from bindings.contract import MISS
from bridge.cluster.contract import Shards
from bridge.delivery.rows import Delete
from bridge.delivery.work import Now
from bridge.directory.keys import ByDevice, ById, ByName, BySource, Key
from bridge.directory.record import EndpointRecord
from bridge.errors import BridgeError, NotServedHere, StoreUnavailable, UnknownDevice
from bridge.quota.shared import SharedQuotas
from bridge.relay import events as ev
from bridge.relay.effects import Cancel, Count, Effect, LookUp, Submit, WakeUp
from bridge.relay.model import Policy
from bridge.relay.set_back import has_times_ahead
from bridge.relay.state import EndpointState, always
from bridge.relay.step import Result, step
from bridge.service.alarms import Alarms
from bridge.service.clock import Clock, moments
from bridge.service.crash_points import reached
from bridge.service.marks import ShardIdSet
from bridge.service.placed import Placed
from bridge.service.quiet import QuietEndpoints
from bridge.service.runner_parts import Actor, Announcer, DirectoryRecords, Ledger, Notes, read, tell
from bridge.service.turns import Turns
from bridge.service.unstored_results import CALL_RESULTS, UnstoredResults
from bridge.service.waiting import Waiting, WaitingEvents
from bridge.service.wake_ups import WakeUps
from bridge.store.contract import Done, StoredEndpoint
from bridge.store.done import future_and_done
from bridge.store.inbox import InboxRow
from bridge.store.notes import FoundNote
from bridge.trace.traces import Tap

log = logging.getLogger(__name__)

MEMORY = 112 << 20  # bytes of endpoints that are kept in memory for their next event
FAR = 30.0  # seconds: an endpoint that only waits for a later time than this is unloaded until then
RELOAD_AFTER = 1.0  # seconds between a failed commit and the next attempt to load the endpoint

CALLS = (Submit, LookUp, Cancel)
TAKEN_IF_ENABLED = (ev.ServerDatagram, ev.DeviceMessage, ev.TriggerAsked, ev.DirectRequest)
RESULTS = (*CALL_RESULTS, ev.LeftForServer)


@dataclass(slots=True)
class Loaded:
    """An endpoint in memory. `uncommitted` counts its commits whose result is not known yet."""

    placed: Placed
    state: EndpointState
    carries: Callable[[str, bytes, bool], bool] = always  # whether a message to a server would leave now
    uncommitted: int = 0
    dropped: bool = False


@dataclass(slots=True)
class Runner:
    """All endpoints of this process.

    `place` returns what effects need of an endpoint of the directory, or None if it is down. `count` increments the
    counters that an operator sees.
    """

    store: Ledger
    directory: DirectoryRecords
    notes: Notes
    clock: Clock
    policy: Policy
    place: Callable[[EndpointRecord], Placed | None]
    actor: Actor
    random: Callable[[], float]
    count: Callable[..., None]
    memory: int = MEMORY
    announcer: Announcer | None = None
    quotas: SharedQuotas = field(default_factory=SharedQuotas)
    loaded: dict[int, Loaded] = field(default_factory=dict)
    _quiet: QuietEndpoints = field(init=False)
    _taken_up: ShardIdSet = field(default_factory=ShardIdSet)  # endpoints whose rows are in memory
    _unstored: UnstoredResults = field(default_factory=UnstoredResults)
    _draining: set[int] = field(default_factory=set)  # dropped endpoints whose last commits have no result yet
    stopping: bool = False
    shards: Shards | None = None  # of this node; None: there is no cluster, and all are served here
    tap: Tap | None = None  # is called with every event while a trace runs
    _now: Callable[[], Now] = field(init=False)
    _alarms: Alarms = field(init=False)
    _waiting: WaitingEvents = field(init=False)
    turns: Turns = field(init=False)
    wake_ups: WakeUps = field(init=False)

    def __post_init__(self) -> None:
        self._now = moments(self.clock)
        self._alarms = Alarms(self._wake)
        self._waiting = WaitingEvents(self.count)
        self._quiet = QuietEndpoints(self.memory)
        self.turns = Turns(self._wake, self._now)
        self.wake_ups = WakeUps(self.arrive, self.count)

    def event(self, endpoint: int, event: ev.Event, done: Done | None = None) -> None:
        """Run one step: now if the endpoint is in memory, else when the store has read it.

        `done` is called when the changes of the step are committed (None), or with StoreUnavailable. Events of one
        endpoint are stepped in the order of arrival.
        """
        reached("after receive")
        loaded = self.loaded.get(endpoint)
        if loaded is None:
            self._wait(ById(endpoint), event, done)
        else:
            self._handle(endpoint, loaded, event, done)

    def arrive(self, key: ByDevice | BySource | ByName, event: ev.Event, done: Done | None = None) -> None:
        """Do what `event` does, for the endpoint with this key; without one, `done` is called with UnknownDevice.

        Events under one key are stepped in the order of arrival.
        """
        if key not in self._waiting:
            record = self.directory.cached(key)
            if record is not MISS and self._accepts(record.shard):
                self.event(record.id, event, done)
                return
            if record is not MISS and isinstance(key, ByDevice):  # another node finds out if it has changed since
                tell([(event, done)], self._elsewhere(record.shard))
                return
        self._wait(key, event, done)

    def bring(self, network: str, key: str, done: FoundNote) -> None:
        """Load the endpoint of a note's device into memory, then call `done` with the note."""
        self.store.load_with_note(network, key, self._now().wall, partial(self._note_read, done))

    @property
    def is_loading(self) -> bool:
        """Return whether an event waits for the store."""
        return len(self._waiting) > 0

    async def take_up(self, endpoint: int) -> None:
        """Load an endpoint with unfinished rows, or set a timer for it (R32). Raises StoreUnavailable."""
        if endpoint not in self._taken_up:
            await self.stepped(endpoint, ev.Tick())

    async def for_reading(self, endpoint: int) -> Loaded | None:
        """Return an endpoint's current state for reading, or None if it does not exist. Raises StoreUnavailable."""
        with contextlib.suppress(NotServedHere):  # then the state is as it is stored
            await self.stepped(endpoint, ev.Tick())
        there = self.loaded.get(endpoint)
        if there is not None:
            return there
        found = await read(self.store, endpoint, self._now().wall)
        placed = None if found is None else self.place(found.record)
        if found is None or placed is None:
            return None
        state = EndpointState(placed.endpoint, self.policy, found.kept, self.random())
        state.account.take_limits(placed.limits)
        return Loaded(placed, state)

    async def stepped(self, endpoint: int, event: ev.Event) -> None:
        """Run one step, and return when its changes are committed. Raises StoreUnavailable."""
        committed, done = future_and_done()

        self.event(endpoint, event, done)
        await committed

    def forget(self, endpoint: int) -> None:
        """Drop an endpoint's memory; the next event loads it again, after its running commits have ended."""
        loaded = self._unload(endpoint)
        if loaded is not None:
            loaded.dropped = True
            if loaded.uncommitted:
                self._draining.add(endpoint)
        self._taken_up.discard(endpoint)
        self._quiet.drop(endpoint)
        self._alarms.clear(endpoint)

    def of_shard(self, shard: int) -> list[int]:
        """Return the endpoints of a shard that are in memory."""
        return [id_ for id_, loaded in self.loaded.items() if loaded.placed.endpoint.shard == shard]

    def is_busy(self, endpoint: int) -> bool:
        """Return whether a commit or a network call of an endpoint has no result yet."""
        loaded = self.loaded.get(endpoint)
        uncommitted = endpoint in self._draining or (loaded is not None and loaded.uncommitted > 0)
        return uncommitted or self.actor.call_in_flight(endpoint) is not None

    def forget_shard(self, shard: int) -> None:
        """Drop the endpoints of a shard: when it is served here again, their messages are taken up as after a start."""
        for endpoint in self.of_shard(shard):
            self.forget(endpoint)
        self._taken_up.forget(shard)
        self._unstored.forget_shard(shard)

    def refresh(self, endpoint: int, placed: Placed) -> None:
        """Update an endpoint in memory from its changed directory entry."""
        loaded = self.loaded.get(endpoint)
        if loaded is not None:
            loaded.placed = placed
            loaded.carries = partial(self.actor.carries, placed)
            loaded.state.place(placed.endpoint, self.policy)

    def hasten(self, seconds: float) -> None:
        """Move all timers of endpoints forward: the wall clock was set forward."""
        self._alarms.hasten(seconds)

    def stop(self) -> None:
        """Accept only the results of network calls in flight; all other events get StoreUnavailable."""
        self.stopping = True
        self._alarms.clear_all()
        self.turns.stop()

    # -- one step ------------------------------------------------------------------------------------------------

    def _wait(self, key: Key, event: ev.Event, done: Done | None) -> None:
        """Let an event wait until its endpoint is read; the first one starts the read."""
        if self._refuses(event, done):
            return
        if self._waiting.add(key, event, done) and not (isinstance(key, ById) and key.endpoint in self._draining):
            self._read(key)

    def _read(self, key: Key) -> None:
        self.store.load(key, self._now().wall, partial(self._endpoint_read, key))

    def _refuses(self, event: ev.Event, done: Done | None) -> bool:
        if not self.stopping or isinstance(event, RESULTS):
            return False
        if done is not None:
            done(StoreUnavailable("the service is stopping"))
        return True

    def _accepts(self, shard: int) -> bool:
        return self.shards is None or self.shards.accepts(shard)

    def _elsewhere(self, shard: int) -> NotServedHere:
        self.count("events_for_other_nodes")
        return NotServedHere(f"shard {shard}, the endpoint's, is not served by this node; ask the others", shard)

    def _refuses_elsewhere(self, loaded: Loaded, event: ev.Event, done: Done | None) -> bool:
        """Refuse an event of an endpoint whose shard is being released, unless a network call ended."""
        shard = loaded.placed.endpoint.shard
        if self._accepts(shard) or isinstance(event, RESULTS):
            return False
        tell([(event, done)], self._elsewhere(shard))
        return True

    def _endpoint_read(self, key: Key, found: StoredEndpoint | None, error: BridgeError | None) -> None:
        """Run the waiting events of an endpoint that the store has read."""
        waiting = self._waiting.pop(key)
        if error is not None:
            log.warning("%r cannot be loaded: %s", key, error, extra={"sample": "not loaded"})
            self.count("failed_loads")
            if isinstance(key, ById):
                self._again_later(key.endpoint)
            tell(waiting, error)
            return
        if found is None:
            tell(waiting, None if isinstance(key, ById) else UnknownDevice(f"no endpoint has {key!r}"))
            return
        self.directory.keep(found.record)
        if not self._accepts(found.record.shard):
            tell(waiting, self._elsewhere(found.record.shard))
        elif waiting:  # else an earlier read under another key has run them
            self._step_all(found, waiting)

    def _note_read(
        self, done: FoundNote, note: bytes | None, found: StoredEndpoint | None, error: BridgeError | None
    ) -> None:
        """Run the waiting events of an endpoint that the store has read with a note."""
        if found is not None:
            self.directory.keep(found.record)
            if not self.stopping and self._accepts(found.record.shard):
                self._step_all(found, [])
        done(note, error)

    def _step_all(self, found: StoredEndpoint, waiting: list[Waiting]) -> None:
        """Run the waiting events of an endpoint that was just read; if it is in memory already, that state is used."""
        endpoint = found.record.id
        loaded = self.loaded.get(endpoint)
        if loaded is None and endpoint not in self._draining:
            waiting += self._waiting.pop(ById(endpoint))  # from now on nothing waits behind that key
            placed = self.place(found.record)
            if placed is None:
                tell(waiting, None)
                return
            loaded = self._load(endpoint, placed, found)
            if loaded.dropped:
                tell(waiting, StoreUnavailable("the endpoint could not be loaded; see the log"))
                return
        for event, done in waiting:
            if loaded is not None and self.loaded.get(endpoint) is loaded:
                self._handle(endpoint, loaded, event, done)
            else:  # a step has unloaded or dropped it
                self.event(endpoint, event, done)

    def _load(self, endpoint: int, placed: Placed, found: StoredEndpoint) -> Loaded:
        """Load an endpoint into memory. If that fails it is `dropped`, and loaded later."""
        self.notes.hold(placed.endpoint.network, placed.endpoint.device, found.notes)
        state = EndpointState(placed.endpoint, self.policy, found.kept, self.random())
        state.deliveries.call = self.actor.call_in_flight(endpoint) or self._unstored.call(endpoint)
        loaded = self.loaded[endpoint] = Loaded(placed, state, partial(self.actor.carries, placed))
        if endpoint not in self._taken_up:
            self._taken_up.add(endpoint, placed.endpoint.shard)
            if not state.is_quiet or has_times_ahead(state, self._now().wall):
                self._step(endpoint, loaded, ev.Started(), None)
        if placed.at_load is not None and not (state.is_quiet or loaded.dropped):
            self._step(endpoint, loaded, placed.at_load, None)
        if not loaded.dropped and (result := self._unstored.pop(endpoint)) is not None:
            self._step(endpoint, loaded, result, self._unstored.keep(endpoint, placed.endpoint.shard, result))
        if state.is_quiet and not loaded.uncommitted:
            self._note_quiet(endpoint, state)
        return loaded

    def _unload(self, endpoint: int) -> Loaded | None:
        loaded = self.loaded.pop(endpoint, None)
        if loaded is not None:
            self.notes.release(loaded.placed.endpoint.network, loaded.placed.endpoint.device)
        return loaded

    def _handle(self, endpoint: int, loaded: Loaded, event: ev.Event, done: Done | None) -> None:
        if self.stopping and self._refuses(event, done):
            return
        if self.shards is not None and self._refuses_elsewhere(loaded, event, done):
            return
        if self.tap is not None:
            self.tap.event(loaded.placed.endpoint, event)
        if not loaded.placed.takes and isinstance(event, TAKEN_IF_ENABLED):
            self._act(loaded.placed, Count("messages_of_disabled_endpoints"))
            if done is not None:  # a request that came by the API gets no answer of the step, and so a reason
                leaves = loaded.placed.leaves and not isinstance(event, ev.DirectRequest)
                done(UnknownDevice("the endpoint is being removed") if leaves else None)
            return
        self._step(endpoint, loaded, event, done)

    def _step(self, endpoint: int, loaded: Loaded, event: ev.Event, done: Done | None) -> None:
        placed, state = loaded.placed, loaded.state
        where, calls = placed.endpoint, placed.calls
        now = self._now()
        try:
            south = placed.south_profile(where.device)
            condition = calls.condition(endpoint, now)
            new_id, carries = self.store.next_id, loaded.carries
            result = step(state, event, now, south, self.random, new_id, condition, placed.limits, carries)
            changes = result.changes
            if self.announcer is not None and result.effects:
                changes = [*changes, *self.announcer.of_step(placed, result.effects)]
            if event.inbox:
                changes = [*changes, Delete(InboxRow, (event.inbox,))]
            # Last, since nothing after it may raise: the sums are changed, and only a failed commit undoes that.
            warnings = self.quotas.apply(where.network, where.group, result.charges) if result.charges else ()
        except Exception as error:  # noqa: BLE001  # whatever it is, the others must go on
            self._broken(endpoint, loaded, event, done, error)
            return
        wake, waits = result.wake, result.waits_for_call
        calls.stepped(endpoint, result.begins_call, waits, is_held=result.is_held)
        for warning in warnings:
            self._act(placed, Count("quota_warnings", warning.quota, warning.text))
        if changes or loaded.uncommitted:
            loaded.uncommitted += 1
            told = partial(self._committed, endpoint, loaded, placed, result, done)
            self.store.commit(changes, told, endpoint=endpoint, shard=where.shard)
        else:
            self._release(placed, result.effects)
            if done is not None:
                done(None)
        if wake is None:
            self._alarms.clear(endpoint)
        elif not self.stopping:
            self._alarms.set(endpoint, wake)
        if not loaded.uncommitted:  # else `_committed` looks whether it is idle
            self._unload_idle(endpoint, loaded, wake, FAR if waits is None or calls.are_turns_soon else 0.0)
        if waits is not None:
            self.turns.serve(calls)

    def _broken(self, endpoint: int, loaded: Loaded, event: ev.Event, done: Done | None, error: BaseException) -> None:
        """Drop the changes of a step that failed by a bug, in its effects or charges too; load the endpoint again."""
        name = loaded.placed.endpoint.name
        extra = {"sample": "step failed"}
        log.error(
            "endpoint %s: an event could not be processed; the endpoint is loaded from the store again",
            name,
            exc_info=error,
            extra=extra,
        )
        self.forget(endpoint)
        self._act(loaded.placed, Count("failed_steps", type(event).__name__))
        self._again_later(endpoint)
        if done is not None and not isinstance(event, CALL_RESULTS):  # it would be stepped again, and fail again
            done(StoreUnavailable(f"endpoint {name}: the message could not be stored; see the log"))

    def _committed(
        self,
        endpoint: int,
        loaded: Loaded,
        placed: Placed,
        result: Result,
        done: Done | None,
        error: BaseException | None,
    ) -> None:
        loaded.uncommitted -= 1
        if error is not None:
            self._never_began(placed, result.effects)
            self.quotas.take_back(placed.endpoint.network, placed.endpoint.group, result.charges)
            if not loaded.dropped:
                name = placed.endpoint.name
                log.error(
                    "endpoint %s: a commit failed; the endpoint is loaded from the store again: %s",
                    name,
                    error,
                    extra={"sample": "commit failed"},
                )
                self._act(placed, Count("failed_commits"))
                self.forget(endpoint)
                self._again_later(endpoint)
        else:
            reached("after commit")
            if self.announcer is not None:
                self.announcer.committed()
            self._release(placed, result.effects)
            if not loaded.uncommitted and self.loaded.get(endpoint) is loaded and loaded.state.is_quiet:
                self._note_quiet(endpoint, loaded.state)
        if done is not None:
            done(error)
        if loaded.dropped and not loaded.uncommitted:
            self._draining.discard(endpoint)
            if ById(endpoint) in self._waiting:
                self._read(ById(endpoint))

    def _release(self, placed: Placed, effects: list[Effect]) -> None:
        for effect in effects:
            if type(effect) is WakeUp:
                if self.tap is not None:
                    self.tap.effect(placed.endpoint, effect)
                self.wake_ups.ask(placed.endpoint.name, effect)
            else:
                self.actor.act(placed, effect, self._call_ended)

    def _act(self, placed: Placed, effect: Effect) -> None:
        self.actor.act(placed, effect, self._call_ended)

    # -- calls of networks -----------------------------------------------------------------------------------------

    def _call_ended(self, placed: Placed, event: ev.Event) -> None:
        if not isinstance(event, CALL_RESULTS):  # a message left for its server
            self.event(placed.endpoint.id, event)
            return
        where = placed.endpoint
        placed.calls.ended(where.id, event, self._now())
        self.event(where.id, event, self._unstored.keep(where.id, where.shard, event))
        if not placed.calls.is_calm:
            self.turns.serve(placed.calls)

    def _never_began(self, placed: Placed, effects: list[Effect]) -> None:
        """Release the call that was reserved with effects that are dropped."""
        if any(isinstance(effect, CALLS) for effect in effects):
            placed.calls.never_began()
            self.turns.serve(placed.calls)

    # -- memory and time -----------------------------------------------------------------------------------------

    def _unload_idle(self, endpoint: int, loaded: Loaded, wake: float | None, far: float) -> None:
        """Unload endpoints: idle ones when memory is full, those that only wait for a far time immediately.

        `far`: the seconds from which on a time counts as far.
        """
        state = loaded.state
        if wake is None and state.is_quiet:
            self._note_quiet(endpoint, state)
            return
        self._quiet.drop(endpoint)
        if wake is None or wake <= far:
            return
        d = state.deliveries
        timers = state.empty_ack_due or state.hold_due or state.retransmissions
        now = self._now().wall
        if not (d.call is not None or timers or state.is_in_transfer(now) or state.exchanges.is_refusing(now)):
            self._unload(endpoint)

    def _note_quiet(self, endpoint: int, state: EndpointState) -> None:
        if not self._quiet.put(endpoint, state.remembered):
            return
        for oldest in self._quiet.excess():  # one that has something to do again may be among them
            candidate = self.loaded.get(oldest)
            if candidate is not None and candidate.state.is_quiet and not candidate.uncommitted:
                self._unload(oldest)

    def _wake(self, endpoint: int, done: Done | None = None) -> None:
        self.event(endpoint, ev.Tick(), done)

    def _again_later(self, endpoint: int) -> None:
        if not self.stopping:
            self._alarms.set(endpoint, RELOAD_AFTER)
