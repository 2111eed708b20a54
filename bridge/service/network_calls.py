"""The calls of one network: how many are in flight, which endpoints wait for one, whether the network is paused."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from enum import Enum

from bindings.contract import Accepted, Ambiguous, Cancellation, Presence, Refusal, Refused, SubmitResult
from bridge.delivery.breaker import Breaker
from bridge.delivery.network import FREE, NetworkCondition, Turn
from bridge.delivery.paces import Learned, Paces, PacesRecord
from bridge.delivery.work import Now
from bridge.quota.periods import spelled
from bridge.relay import events as ev

log = logging.getLogger(__name__)

NEAR = 256  # endpoints: the turn of one that waits behind no more than this many others comes soon


class NetworkCalls:
    """At most `capacity` calls are in flight; further endpoints wait, in the order in which they asked.

    Endpoints with an answer for their device are first. Of a waiting endpoint only the id is kept. When a call can
    begin, `next_turn` returns the endpoint whose turn it is, and reserves the call until the endpoint was stepped. A
    network that is down is paused; after the pause, one call at a time tests whether it answers again. A limit that was
    learned from refusals holds submits alone: cancels and look-ups go, so that no message passes its deadline (R11).
    """

    def __init__(self, network: str, capacity: int, draw: Callable[[], float], count: Callable[..., None]) -> None:
        """`draw` returns a random number in [0, 1); `count` increments the counters that an operator sees."""
        self.network = network
        self.under_way = 0
        self.is_calm = True  # no endpoint waits, and the network is up: the common case
        self._is_up = True  # the network is neither paused or on trial, nor known to keep a limit
        self._capacity = max(capacity, 1)
        self._breaker = Breaker(draw)
        self._paces = Paces()
        self._count = count
        self._answers: OrderedDict[int, None] = OrderedDict()
        self._others: OrderedDict[int, None] = OrderedDict()
        self._checks: OrderedDict[int, None] = OrderedDict()  # those of the others that wait for a cancel or a look-up
        self.held: set[int] = set()  # endpoints whose next message is held by a quota, or by a limit of the network
        self._turns: set[int] = set()  # endpoints whose turn it is, and that were not stepped yet
        self._closed = False
        self._suspended = False
        self._drained: asyncio.Future[None] | None = None  # for who waits until no call is under way

    @property
    def waiting(self) -> int:
        """Return the number of endpoints that wait for their turn."""
        return len(self._answers) + len(self._others)

    @property
    def are_turns_soon(self) -> bool:
        """Return whether few endpoints wait."""
        return len(self._answers) + len(self._others) <= NEAR

    @property
    def is_full(self) -> bool:
        """Return whether the network is up, and no call can begin before one ends."""
        return self._is_up and self._free() <= 0

    def condition(self, endpoint: int, now: Now) -> NetworkCondition:
        """Return whether an endpoint may call the network now."""
        if self.is_calm:
            return FREE if self.under_way < self._capacity else _WAITS[False, True]
        if self._closed or self._suspended:
            return _WAITS[False, False]
        return self._by_turns(endpoint) if self._is_up else self._by_limits(endpoint, now)

    def _by_turns(self, endpoint: int) -> NetworkCondition:
        """Return whether an endpoint may call a network that is up now."""
        if endpoint in self._turns:
            return FREE
        takes_answers = self._free() > 0 and not self._answers
        if takes_answers and not self._others:
            return FREE
        return _WAITS[takes_answers, self.are_turns_soon]

    def _by_limits(self, endpoint: int, now: Now) -> NetworkCondition:
        """Return whether an endpoint may call a network now that is paused, on trial, or known to keep a limit."""
        pause = self._breaker.pause(now.mono)
        limited = self._paces.network(now.mono, self.under_way)
        has_turn = endpoint in self._turns
        takes_checks = not pause and (has_turn or (self._free_for_checks() > 0 and not self._checks))
        if pause or limited is not None:
            return NetworkCondition(
                takes_answers=False,
                takes_others=False,
                takes_checks=takes_checks,
                paused_until=now.wall + pause if pause else None,
                limited_until=None if limited is None else now.wall + limited.wait,
                why_limited="" if limited is None else limited.why,
            )
        takes_answers = has_turn or (self._free() > 0 and not self._answers)
        takes_others = has_turn or (takes_answers and not self._others)
        takes_checks = takes_others or (takes_checks and self._paces.tries_one)
        limited = self._paces.device(endpoint, now.mono, self.under_way)
        if limited is None:
            return NetworkCondition(takes_answers, takes_others, takes_checks)
        return NetworkCondition(
            takes_answers, takes_others, takes_checks, limited_until=now.wall + limited.wait, why_limited=limited.why
        )

    def stepped(self, endpoint: int, begins_call: bool, waits: Turn | None, *, is_held: bool = False) -> None:
        """Record that an endpoint was stepped: it has begun a call, waits for its turn, or needs no call.

        `is_held`: the next message is held by a quota, or by a limit of the network.
        """
        if is_held:
            self.held.add(endpoint)
        elif self.held:
            self.held.discard(endpoint)
        if begins_call:
            self.under_way += 1
        if waits is None and (self.is_calm or not self._is_known(endpoint)):
            return
        self._turns.discard(endpoint)
        if waits is not Turn.ANSWER:
            self._answers.pop(endpoint, None)
        if waits is None or waits is Turn.ANSWER:
            self._others.pop(endpoint, None)
        if waits is not Turn.CHECK:
            self._checks.pop(endpoint, None)
        if waits is not None:
            line = self._answers if waits is Turn.ANSWER else self._others
            line[endpoint] = None  # an endpoint that waits already keeps its position
            if waits is Turn.CHECK:
                self._checks[endpoint] = None
        self._look_round()

    def _is_known(self, endpoint: int) -> bool:
        """Return whether an endpoint waits, or has its turn."""
        return endpoint in self._turns or endpoint in self._others or endpoint in self._answers

    def not_stepped(self, endpoint: int) -> None:
        """Record that an endpoint whose turn it was could not be stepped: it is the next one's turn."""
        if endpoint in self._turns:
            self._turns.discard(endpoint)
            self._look_round()

    def ended(self, endpoint: int, event: ev.Event, now: Now) -> None:
        """Record that a call for an endpoint has ended, and its result."""
        self._is_over()
        if isinstance(event, ev.Submitted):
            self._learn(endpoint, event.result, now)
        breaker = self._breaker
        came_to, wish = _judged(event, now)
        if came_to is _ANSWERED:
            if breaker.is_open:
                log.info("network %s answers again", self.network)
            breaker.answered()
        elif (came_to is _Came.TO_NOTHING or (came_to is _Came.TO_DOUBT and breaker.is_open)) and breaker.failed(
            now.mono, wish
        ):
            self._log_pause(now)
        if not self.is_calm or breaker.is_open:
            self._judge()

    def _learn(self, endpoint: int, result: SubmitResult, now: Now) -> None:
        """Learn from what the network took, or refused for a limit, how much it takes."""
        if isinstance(result, Accepted):
            if self._paces.is_active:
                self._paces.taken(endpoint, now.mono)
        elif isinstance(result, Refused) and result.why is Refusal.RATE_LIMITED:
            wish = None if result.retry_at is None else result.retry_at - now.wall
            self._paces.refused(endpoint, now.mono, wish, result.limit_of)
            self._judge()

    def never_began(self) -> None:
        """Record that a call does not take place: the commit before it failed."""
        self._is_over()

    def next_turn(self, now: Now) -> int | None:
        """Return the endpoint that may call next, which the caller must step; None: no call can begin now."""
        if not (self._answers or self._others) or self._closed or self._suspended:
            return None
        if not self._is_up and self._breaker.pause(now.mono):
            return None
        if self._free() > 0 and (self._is_up or not self._limit(now)):
            endpoint, _ = (self._answers or self._others).popitem(last=False)
            self._checks.pop(endpoint, None)
        elif self._checks and self._free_for_checks() > 0:
            endpoint, _ = self._checks.popitem(last=False)
            del self._others[endpoint]
        else:
            return None
        self._turns.add(endpoint)
        return endpoint

    def pause(self, now: Now) -> float:
        """Return the seconds until the network may get a submit; 0.0: it is neither paused nor at its limit."""
        return max(self._breaker.pause(now.mono), self._limit(now))

    def next_turn_in(self, now: Now) -> float:
        """Return the seconds until `next_turn` may return an endpoint although no call has ended; 0.0: unknown."""
        return 0.0 if self._is_up else self._breaker.pause(now.mono) or self._limit(now)

    def _limit(self, now: Now) -> float:
        """Return the seconds until the network's limit, as far as it is known, allows a submit; 0.0: it does."""
        limited = self._paces.network(now.mono, self.under_way + len(self._turns))
        return 0.0 if limited is None else limited.wait

    def status(self, now: Now) -> dict[str, float | str | None]:
        """Return the state for an operator, as JSON values; `paused_for` in seconds."""
        pause = self.pause(now)
        return {
            "under_way": self.under_way,
            "at_most": self._capacity,
            "waiting": self.waiting,
            "paused_for": round(pause, 1) if pause else None,
            "limits": self.limits(now),
        }

    def limits(self, now: Now) -> str | None:
        """Return the learned limits and since when they are known, for people; None: there are none."""
        return "; ".join(_spelled(one, now) for one in self._paces.learned()) or None

    def limits_changed(self, now: Now, most: int) -> dict[int, PacesRecord | None]:
        """Return what is to be kept of learned limits, at most so many records; see `Paces.changes`."""
        changed = self._paces.changes(now.mono, most)
        if not self._is_up:
            self._judge()  # limits may have been forgotten
        return changed

    def limits_not_kept(self, endpoints: Iterable[int]) -> None:
        """Record that what `limits_changed` returned could not be kept."""
        self._paces.not_kept(endpoints)

    def restore_limits(self, records: Iterable[tuple[int, PacesRecord, float]], now: Now) -> None:
        """Take over the limits that an earlier run learned; see `Paces.restore`."""
        self._paces.restore(records, now.mono)
        self._judge()

    def forget_limits(self) -> None:
        """Forget all learned limits. The caller removes what is kept of them, and then lets those who wait try."""
        self._paces = Paces()
        self._judge()

    def suspend(self) -> None:
        """Begin no calls until `resume`: the network is being replaced. Who wants one waits for its turn."""
        self._suspended = True
        self.is_calm = False

    def resume(self, capacity: int) -> None:
        """Let calls begin again, at most `capacity` at the same time; whoever waits is served by `next_turn`."""
        self._suspended = False
        self._capacity = max(capacity, 1)
        self._look_round()

    async def drained(self) -> None:
        """Return when no call is under way. Suspend before, or it may never be so."""
        while self.under_way:
            self._drained = self._drained or asyncio.get_running_loop().create_future()
            await self._drained

    def close(self) -> None:
        """Allow no more calls: the service stops."""
        self._closed = True
        self.is_calm = False

    def _is_over(self) -> None:
        self.under_way -= 1
        if self._drained is not None and not self.under_way:
            self._drained.set_result(None)
            self._drained = None

    def _free(self) -> int:
        """Return how many more submits can begin."""
        tries_one = not self._is_up and (self._breaker.is_open or self._paces.tries_one)
        return (1 if tries_one else self._capacity) - self.under_way - len(self._turns)

    def _free_for_checks(self) -> int:
        """Return how many more cancels and look-ups can begin, whatever limit of submits is known."""
        return (1 if self._breaker.is_open else self._capacity) - self.under_way - len(self._turns)

    def _judge(self) -> None:
        """Find out whether the network is up, after a result of a call."""
        self._is_up = not (self._breaker.is_open or self._paces.is_active)
        self._look_round()

    def _look_round(self) -> None:
        stands_still = self._closed or self._suspended
        self.is_calm = self._is_up and not (self._answers or self._others or self._turns or stands_still)

    def _log_pause(self, now: Now) -> None:
        self._count("network_pauses", network=self.network)
        log.warning(
            "network %s is down: it is called again in %.0f s; %d endpoints wait",
            self.network,
            self._breaker.pause(now.mono),
            self.waiting,
            extra={"sample": f"network paused {self.network}"},
        )


_WAITS = {
    (takes_answers, is_soon): NetworkCondition(takes_answers, takes_others=False, is_turn_soon=is_soon)
    for takes_answers in (False, True)
    for is_soon in (False, True)
}
"""The conditions for endpoints that have to wait for their turn: whether answers may go, whether turns come soon."""


def _spelled(known: Learned, now: Now) -> str:
    """Return what is known of a limit and how old it is, in UTC."""
    times = {"first": known.first_refused, "last": known.last_refused}
    shown = [f"{which} at {spelled(now.wall - now.mono + at)}" for which, at in times.items() if at is not None]
    return f"{known.text} (refused {', '.join(shown)})" if shown else known.text


class _Came(Enum):
    """The result of a call, as far as it shows whether the network works."""

    TO_AN_ANSWER = "the network answered"
    TO_NOTHING = "the network did not answer"
    TO_DOUBT = "it may have answered"  # counts as no answer while the network is on trial
    TO_NO_CALL = "the binding may have answered by itself"


_ANSWERED = _Came.TO_AN_ANSWER
_OF_THE_NETWORK = frozenset({Refusal.FAILED, Refusal.REJECTED})
"""Refusals that a binding returns only after it asked its network."""


def _judged(event: ev.Event, now: Now) -> tuple[_Came, float | None]:
    """Return the result of a call, and, if the network said so, the seconds until it wants the next one."""
    if isinstance(event, ev.Submitted):
        result = event.result
        if isinstance(result, Accepted):
            return _ANSWERED, None
        if isinstance(result, Refused) and result.why is not Refusal.NETWORK_UNAVAILABLE:
            return (_ANSWERED if result.why in _OF_THE_NETWORK else _Came.TO_NO_CALL), None
        wish = None if isinstance(result, Ambiguous) or result.retry_at is None else result.retry_at - now.wall
        return _Came.TO_NOTHING, wish
    if isinstance(event, ev.LookedUp):
        return _OF_LOOK_UP[event.result.presence], None
    if isinstance(event, ev.CancelDone):
        return (_Came.TO_DOUBT if event.result is Cancellation.UNKNOWN else _ANSWERED), None
    return _Came.TO_NO_CALL, None


_OF_LOOK_UP = {
    Presence.PRESENT: _ANSWERED,
    Presence.ABSENT: _ANSWERED,
    Presence.UNSUPPORTED: _Came.TO_NO_CALL,
    Presence.FAILED: _Came.TO_NOTHING,
}
