"""The downlinks of one device: which is sent next (one at a time, R6, R7), resends and expiry (R8, R11), outcomes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bindings import contract
from bindings.contract import Refusal, SouthProfile
from bridge.delivery import rules
from bridge.delivery.allowance import Allowance, Hold
from bridge.delivery.attempts import (
    Attempt,
    Facts,
    begin,
    facts_of,
    last_uncertain,
    may_yet_be_transmitted,
    nobody_has_it,
)
from bridge.delivery.downlinks import (
    CONTINUES,
    DIRECT,
    Answer,
    Carrier,
    Downlink,
    OpaqueDownlink,
    ServerRequest,
)
from bridge.delivery.effects import Cancel, Direction, LookUp, Settled, Submit
from bridge.delivery.kept import KeptRows
from bridge.delivery.knowledge import Knowledge
from bridge.delivery.network import NetworkCondition, Turn
from bridge.delivery.reports import UnattributedReport
from bridge.delivery.rows import FOREVER
from bridge.delivery.states import DownlinkState
from bridge.delivery.work import Work
from bridge.enums import members

HELD_AT_MOST = 30 * 86400.0  # seconds: a finished request is kept no longer than this, whatever TTL its server gave

SIZE_AGAIN = 60.0  # seconds after which a message that does not fit yet is tried again at the latest

_S = members(DownlinkState)
_K = members(Knowledge)
_T = members(Turn)


@dataclass(slots=True)
class Deliveries:
    """All downlinks of one device that have no outcome or are still needed. Every method adds its changes to `work`.

    The caller reads and clears `ended` after each call: the rows that reached their outcome. Before each step it clears
    `begins_call`, `held_until`, `waits_for_call` and `is_next_soon`.
    """

    device: str
    confirmed: bool
    options: Mapping[str, str]
    carrier: Carrier
    allowance: Allowance
    keep: float  # seconds that a finished row stays, to recognise a server's retransmission (R4)
    late_grace: float  # seconds in which a late answer is recognised (R12)
    max_reports: int
    ports: Mapping[str, str] = field(default_factory=dict)  # server → its application port
    live: dict[int, Downlink] = field(default_factory=dict)
    kept: KeptRows[ServerRequest] = field(default_factory=KeptRows)
    reports: list[UnattributedReport] = field(default_factory=list)
    call: tuple[int, int] | None = None  # downlink and attempt of the one network call in flight (R7)
    begins_call: bool = False  # by this step
    held_until: float | None = None  # wall time at which the quota may allow the next message
    waits_for_call: Turn | None = (
        None  # a message could be sent, but the endpoint has to wait for its turn at the network
    )
    is_next_soon: Downlink | None = None  # a message that waits only for a few calls of other endpoints to end
    ended: list[Downlink] = field(default_factory=list)
    touched: dict[int, Downlink] = field(default_factory=dict)  # changed by this step, or in need of attention
    # Facts and times of a row are computed once for each change of the row.
    _facts: dict[int, Facts] = field(default_factory=dict)
    _times: dict[int, tuple[float | None, float | None]] = field(default_factory=dict)

    def find(self, downlink: int) -> Downlink | None:
        return self.live.get(downlink) or self.kept.get(downlink)

    def add(self, row: Downlink, work: Work) -> None:
        """Add a new row, QUEUED."""
        row.due = row.deliver_by
        if type(row) is ServerRequest and row.answer_by < row.due:
            row.due = row.answer_by
        self.live[row.id] = row
        work.insert(row)

    def changed(self, row: Downlink, work: Work, profile: SouthProfile) -> None:
        """Record that more is known of a row's attempts."""
        if not row.over:
            facts = self._facts[row.id] = facts_of(row.attempts)
            row.state = rules.state_of(row, facts, work.now.wall, profile)
            self.touch(row)
        work.update(row)

    def touch(self, row: Downlink) -> None:
        """Have the times of a row computed again."""
        self._times.pop(row.id, None)
        self.touched[row.id] = row

    def touch_all(self) -> None:
        """Have the times of all rows computed again: the network's south profile changed."""
        self._times.clear()
        self.touched.update(self.live)

    def facts(self, row: Downlink) -> Facts:
        """Return the summary of a live row's attempts."""
        found = self._facts.get(row.id)
        if found is None:
            found = self._facts[row.id] = facts_of(row.attempts)
        return found

    def times(self, row: Downlink, profile: SouthProfile) -> tuple[float | None, float | None]:
        """Return when a live row ends by itself, and when its next attempt is due; see `rules`."""
        found = self._times.get(row.id)
        if found is None:
            facts = self.facts(row)
            confirmed = rules.wants_confirmation(row, self.options, always=self.confirmed)
            found = rules.ends_at(row, facts, profile), rules.next_attempt_at(row, facts, profile, confirmed=confirmed)
            self._times[row.id] = found
        return found

    # -- which message is next ----------------------------------------------------------------------------------------

    def call_next(self, work: Work, profile: SouthProfile, network: NetworkCondition) -> Downlink | None:
        """Start the next network call, if none is in flight, a message may be sent, and the network has room.

        A row that is next but too large now is returned (R25: the data rate may have fallen while it waited). Make
        it fit or call `too_large`, then call `call_next` again.
        """
        if self.call is not None:
            return None
        now = work.now.wall
        asking: tuple[Downlink, Attempt] | None = None
        is_asked = may_go = False
        for row in self.live.values():
            if row.state is _S.QUEUED:
                may_go = True
            elif row.state is _S.SENT:
                _, again = self.times(row, profile)
                may_go = may_go or (again is not None and again <= now)
            for one in row.attempts:
                if one.look_up_at is not None:
                    is_asked = True
                    if one.look_up_at <= now and asking is None:
                        asking = row, one
                elif one.known is _K.HELD and rules.cancel_is_due(row, one, now, profile):
                    if self._has_turn(_T.CHECK, network):
                        self._call(Cancel(row.id, one.number, one.handle or ""), row, one, work)
                    return None
        if asking is not None:
            row, one = asking
            if self._has_turn(_T.CHECK, network):
                self._call(LookUp(self._attempt(row, one, self.carrier.encode(row))), row, one, work)
            return None
        if is_asked or not may_go:
            return None  # nothing new is sent until it is known what the device may already have (R32)
        return self._submit_next(work, profile, network)

    def _submit_next(self, work: Work, profile: SouthProfile, network: NetworkCondition) -> Downlink | None:
        row = self.next_to_go(work.now.wall, profile)
        if row is None:
            return None
        if not self._has_turn(_T.ANSWER if type(row) is Answer else _T.OTHER, network):
            self.is_next_soon = row if network.is_turn_soon else None
            return None
        payload = self.carrier.encode(row)
        if profile.max_downlink is not None and len(payload) > profile.max_downlink:
            return row
        hold = self.hold_of(row, len(payload), work.now.wall, network)
        if hold is not None:
            self._hold(row, hold, work)
            return None
        if row.reason.startswith((_HELD, _NOT_YET)):
            row.reason = ""
        charged_at = self.allowance.charge(len(payload), work)
        one = begin(row.attempts, work.now.wall)
        if charged_at != work.now.wall:
            one.charged_at = charged_at
        row.not_before = None
        row.state = _S.SUBMITTING
        self._facts.pop(row.id, None)
        self.touch(row)
        work.update(row)
        self._call(Submit(self._attempt(row, one, payload)), row, one, work)
        return None

    def hold_of(self, row: Downlink, size: int, now: float, network: NetworkCondition) -> Hold | None:
        """Return why a message of `size` bytes may not be submitted at wall time `now`; None if it may.

        A message that the network refused because of the network's own limit holds back all others of the device, and
        so does a limit that was learned from such refusals.
        """
        until = self._refused_until(Refusal.RATE_LIMITED, now)
        if network.limited_until is not None and (until is None or network.limited_until > until):
            until = network.limited_until
        is_answer = type(row) is Answer
        return self.allowance.hold(size, now, is_answer=is_answer, limited_until=until, limit=network.why_limited)

    def _hold(self, row: Downlink, hold: Hold, work: Work) -> None:
        """Record what the next row waits for, in the row, so that a message that expires says why."""
        self.held_until = hold.until
        reason = f"{_HELD}{hold.why}"
        if row.reason != reason:
            row.reason = reason
            work.update(row)

    def _has_turn(self, turn: Turn, network: NetworkCondition) -> bool:
        """Return whether a call can begin now; if not, the endpoint waits for its turn."""
        if network.takes(turn):
            return True
        self.waits_for_call = turn
        return False

    def _call(self, effect: Submit | LookUp | Cancel, row: Downlink, one: Attempt, work: Work) -> None:
        self.call = row.id, one.number
        self.begins_call = True
        work.effect(effect)

    def too_large(self, row: Downlink, work: Work, profile: SouthProfile) -> None:
        """Do not send a row that is too large, or no further copy of it."""
        if nobody_has_it(row.attempts):
            self.end(row, _S.TOO_LARGE, work, f"{self.carrier.size(row)} bytes, {profile.max_downlink} fit")
        else:
            row.no_further_copy = True  # a copy that may have been transmitted decides the outcome
            self.changed(row, work, profile)

    def wait_for_size(self, row: Downlink, work: Work, profile: SouthProfile) -> None:
        """Let a row wait that does not fit now, and will after a few more messages of the device."""
        row.not_before = work.now.wall + SIZE_AGAIN
        row.reason = f"{_NOT_YET}{self.carrier.size(row)} bytes, {profile.max_downlink} fit now"
        self.touch(row)
        work.update(row)

    def size_changed(self, work: Work) -> None:
        """Let rows that waited for another size go."""
        for row in self.live.values():
            if row.not_before is not None and row.reason.startswith(_NOT_YET):
                row.not_before = None
                self.touch(row)
                work.update(row)

    def next_to_go(self, now: float, profile: SouthProfile) -> Downlink | None:
        """Return what goes next (R6).

        Answers go first, then a copy of the slot's holder, then the exchange under way, then requests in order.

        Requests go by priority, then by id. One that waits holds back the later ones; an exchange under way holds back
        all.
        """
        if self.paused_until(now) is not None:
            return None
        holder, transfer = self.occupied(now, profile)
        best: Downlink | None = None
        requests_wait = holder is not None or transfer is not None
        for row in self.live.values():
            if row.state is not _S.QUEUED or row.deliver_by <= now or row.cancel_asked:
                continue
            waits = row.not_before is not None and row.not_before > now
            if type(row) is Answer:
                if not waits:
                    return row
            elif type(row) is not ServerRequest:
                if not waits and best is None:
                    best = row
            elif waits:
                requests_wait = True  # later requests do not overtake it
            elif row is transfer:
                if best is None:
                    best = row
            elif not requests_wait and (best is None or _precedes(row, best)):
                best = row
        if holder is not None:
            _, again = self.times(holder, profile)
            if again is not None and again <= now < holder.deliver_by:
                return holder
        return best

    def occupied(self, now: float, profile: SouthProfile) -> tuple[ServerRequest | None, ServerRequest | None]:
        """Return the request that holds the device's one request slot (R6); if none does, the exchange under way.

        Of several such exchanges it is the one whose request goes in parts: the others can wait in between.
        """
        transfer: ServerRequest | None = None
        for row in self.live.values():
            if type(row) is not ServerRequest:
                continue
            if row.attempts and rules.holds_slot(row, now, profile):
                return row, None
            if row.split_from is not None:
                if (transfer is None or transfer.split_from is None) and rules.is_under_way(row):
                    transfer = row
            elif row.priority >= CONTINUES and transfer is None and rules.is_under_way(row):
                transfer = row
        return None, transfer

    def paused_until(self, now: float) -> float | None:
        """Return until when the device cannot be reached, as the network reports; None: it can."""
        return self._refused_until(Refusal.UNREACHABLE, now)

    def _refused_until(self, why: Refusal, now: float) -> float | None:
        """Return until when the network wants no message, as its refusals for this reason say."""
        until: float | None = None
        for row in self.live.values():
            if row.not_before is not None and row.not_before > now and _is_refused(row, why):
                until = row.not_before if until is None else max(until, row.not_before)
        return until

    def _attempt(self, row: Downlink, one: Attempt, payload: bytes) -> contract.Submission:
        return contract.Submission(
            row.id,
            one.number,
            self.device,
            payload,
            row.KIND,
            row.deliver_by,
            rules.wants_confirmation(row, self.options, always=self.confirmed),
            1 if type(row) is Answer else 0,
            self.options,
            row.repeatable,
            self._port_of(row) if self.ports else None,
        )

    def _port_of(self, row: Downlink) -> str | None:
        """Return the application port of a downlink: of its server, or of the message that it answers."""
        if type(row) is Answer:
            return row.port
        return self.ports.get(row.server if isinstance(row, ServerRequest | OpaqueDownlink) else DIRECT)

    # -- time ----------------------------------------------------------------------------------------------------

    def in_need(self, now: float) -> list[Downlink]:
        """Return the live rows that changed in this step or that are due, and mark them as changed."""
        for row in self.live.values():
            if row.due is not None and row.due <= now:
                self.touched[row.id] = row
        return list(self.touched.values())

    def expire(self, rows: list[Downlink], work: Work, profile: SouthProfile) -> None:
        """End those of some rows that end by themselves by now."""
        now = work.now.wall
        for row in rows:
            if row.over:
                continue
            end, _ = self.times(row, profile)
            if end is not None and end <= now:
                outcome = rules.outcome(row, self.facts(row))
                self.end(row, outcome, work, row.reason or _WHY.get(outcome, ""))
            elif row.deliver_by <= now and row.state is _S.QUEUED:
                self.changed(row, work, profile)  # it is not sent again, and an attempt in doubt may still be answered

    def next_time(self, row: Downlink, now: float, profile: SouthProfile) -> float | None:
        """Return the next wall time at which a live row is due, or None if only an event can change it."""
        if row.state is _S.SUBMITTING:
            return None
        end, again = self.times(row, profile)
        first = row.deliver_by if row.deliver_by > now else FOREVER
        if end is not None and now < end < first:
            first = end
        if again is not None and now < again < first:
            first = again
        for one in row.attempts:
            if one.look_up_at is not None and now < one.look_up_at < first:
                first = one.look_up_at
            if one.left_at is not None and not one.released:  # the slot is free then
                slot_free_at = one.left_at + profile.response_timeout
                if now < slot_free_at < first:
                    first = slot_free_at
        return None if first == FOREVER else first

    # -- outcomes ----------------------------------------------------------------------------------------------------

    def answered(self, row: ServerRequest, outcome: DownlinkState, work: Work, reason: str = "") -> None:
        """End a request that the device answered: RESPONDED, or REJECTED by a Reset."""
        one = row.attempts[-1]
        if one.is_certain:
            one = last_uncertain(row.attempts) or one
        one.learn(_K.DELIVERED, work.now.wall)
        self.end(row, outcome, work, reason)

    def give_up(self, row: Downlink, work: Work, reason: str) -> None:
        """Make no further attempt: CANCELLED if the device certainly never got it, else what its attempts allow."""
        facts = self.facts(row)
        outcome = _S.CANCELLED if facts.nobody_has_it else rules.outcome(row, facts)
        self.end(row, outcome, work, reason)

    def end(self, row: Downlink, outcome: DownlinkState, work: Work, reason: str = "") -> None:
        """Set the outcome of a row; it must be one that the row's attempts allow."""
        by_device = rules.is_the_devices_word(outcome)
        if row.over or not (by_device or outcome in rules.possible_outcomes(facts_of(row.attempts))):
            raise AssertionError(f"downlink {row.id}: {outcome} cannot be said of {row.attempts} (over={row.over})")
        now = work.now.wall
        row.state = outcome
        row.over = True
        row.finished_at = now
        row.due = None
        if reason:
            row.reason = reason
        del self.live[row.id]
        self._facts.pop(row.id, None)
        self._times.pop(row.id, None)
        if type(row) is ServerRequest:
            row.keep_until = now + self.keep
            if not by_device and not nobody_has_it(row.attempts):
                # The network may transmit it until its deadline, although it has its outcome; then an answer may still
                # come.
                latest = min(row.deliver_by, now + HELD_AT_MOST) if may_yet_be_transmitted(row.attempts) else now
                row.keep_until = max(now, latest) + max(self.keep, self.late_grace)
            self.kept.keep(row)
        else:
            row.keep_until = now if row.own_mid is None else now + self.keep
        self.ended.append(row)
        work.update(row)
        work.effect(Settled(row.id, Direction.DOWN, row.operation, row.state, row.reason, now - row.accepted_at))


_NOT_YET = "does not fit yet: "  # begins the reason of a row that waits for `SouthProfile.max_downlink_soon`
_HELD = "held: "
_WHY = {
    _S.EXPIRED: "deliver_by passed",
    _S.UNANSWERED: "no answer came",
    _S.CANCELLED: "cancelled on request",
    _S.UNKNOWN: "it is unknown whether the device got it",
    _S.NACKED: "no acknowledgement from the device",
}


def is_out_of_reach(row: Downlink) -> bool:
    """Return whether the network's latest report says that the device cannot be reached."""
    return _is_refused(row, Refusal.UNREACHABLE)


def is_failing(row: Downlink) -> bool:
    """Return whether the network failed to handle the latest attempt, or let it expire."""
    return _is_refused(row, Refusal.FAILED) or _is_refused(row, Refusal.EXPIRED)


def _is_refused(row: Downlink, why: Refusal) -> bool:
    return bool(row.attempts) and row.attempts[-1].why is why


def _precedes(row: ServerRequest, other: Downlink) -> bool:
    """Return whether a request is sent before one that was accepted earlier."""
    return isinstance(other, ServerRequest) and row.priority > other.priority
