"""The downlinks of one device: which may go next (R6, R7), and what time does to them (R8, R11)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bindings.contract import CONFIRMED_OPERATIONS, Attempt, SouthProfile
from bridge.delivery.downlinks import Answer, Carrier, Downlink, OpaqueDownlink, ServerRequest
from bridge.delivery.effects import Cancel, Direction, LookUp, Settled, Submit
from bridge.delivery.kept import KeptRows
from bridge.delivery.reports import UnattributedReport
from bridge.delivery.states import DownlinkState
from bridge.delivery.work import Work
from bridge.enums import members

EXPIRY_GRACE = 60.0  # seconds a network that expires by itself gets to report it, before the outcome is UNKNOWN
_S = members(DownlinkState)


@dataclass(slots=True)
class Deliveries:
    """All downlinks of one device that are live or still needed. Every method leaves `work` with what must be kept.

    The caller reads and clears `ended` after each call: the rows that reached their outcome.
    """

    device: str
    confirmed: bool
    options: Mapping[str, str]
    carrier: Carrier
    keep: float  # seconds a finished row stays, for a server's retransmission (R4)
    late_grace: float  # seconds a late answer is still recognised (R12)
    max_reports: int
    live: dict[int, Downlink] = field(default_factory=dict)
    kept: KeptRows[ServerRequest] = field(default_factory=KeptRows)
    reports: list[UnattributedReport] = field(default_factory=list)
    call: int | None = None  # the downlink of the one network call in flight (R7)
    cancelling: set[int] = field(default_factory=set)  # the network is asked to give them up (R11)
    to_look_up: dict[int, float] = field(default_factory=dict)  # → not before
    released: set[int] = field(default_factory=set)  # UNKNOWN rows that hold the slot no longer (R9)
    presumed: set[int] = field(default_factory=set)  # SENT only because the network no longer had them to cancel
    ended: list[Downlink] = field(default_factory=list)

    def find(self, downlink: int) -> Downlink | None:
        return self.live.get(downlink) or self.kept.get(downlink)

    def add(self, row: Downlink, work: Work) -> None:
        """Take a new row, QUEUED."""
        self.live[row.id] = row
        work.insert(row)

    # -- what may go next ----------------------------------------------------------------------------------------

    def slot_holder(self, now: float, profile: SouthProfile) -> ServerRequest | None:
        """Return the request that holds the device's one request slot (R6)."""
        for row in self.live.values():
            if type(row) is ServerRequest and self._holds_slot(row, now, profile):
                return row
        return None

    def _holds_slot(self, row: Downlink, now: float, profile: SouthProfile) -> bool:
        if row.state is _S.SUBMITTING or row.state is _S.BUFFERED:
            return True
        if row.state is _S.UNKNOWN:
            return row.id not in self.released
        if row.state is _S.SENT or row.state is _S.DELIVERED:
            return now < (row.sent_at or 0.0) + profile.response_timeout
        return False

    def pump(self, work: Work, profile: SouthProfile) -> Downlink | None:
        """Start the next network call, if none is in flight and something may go.

        A row that should go but is too large now (R25: a data rate may have fallen while it waited) is given back: make
        it fit or call `too_large`, and pump again.
        """
        if self.call is not None:
            return None
        now = work.now.wall
        for downlink in self.cancelling:
            row = self.live[downlink]
            if row.state is _S.BUFFERED and row.handle is not None:
                self.call = row.id
                work.effect(Cancel(row.id, row.handle))
                return None
        for downlink, not_before in self.to_look_up.items():
            if not_before <= now:
                self.call = downlink
                row = self.live[downlink]
                work.effect(LookUp(self._attempt(row, self.carrier.encode(row))))
                return None
        if self.to_look_up:
            return None  # nothing new until it is known what the device may already have (R32)
        row_to_send = self._next(now, profile)
        if row_to_send is None:
            return None
        payload = self.carrier.encode(row_to_send)
        if profile.max_downlink is not None and len(payload) > profile.max_downlink:
            return row_to_send
        self._submit(row_to_send, payload, work)
        return None

    def too_large(self, row: Downlink, work: Work, profile: SouthProfile) -> None:
        """Send no such row, or no further copy of it."""
        if row.state is _S.SENT:
            row.failures = profile.max_attempts  # the copy that left counts
            work.update(row)
        else:
            reason = f"{self.carrier.size(row)} bytes, {profile.max_downlink} fit"
            self.end(row, _S.TOO_LARGE if row.never_left else _S.UNKNOWN, work, reason)

    def _next(self, now: float, profile: SouthProfile) -> Downlink | None:
        """Answers first, then a resend of the slot's holder, then the next block of a transfer, then in order (R6)."""
        holder = self.slot_holder(now, profile)
        best: Downlink | None = None
        requests_wait = holder is not None
        for row in self.live.values():
            if row.state is not _S.QUEUED:
                continue
            if row.deliver_by is not None and row.deliver_by <= now:
                continue
            waits = row.not_before is not None and row.not_before > now
            if type(row) is Answer:
                if not waits:
                    return row
            elif type(row) is OpaqueDownlink:
                if not waits and best is None:
                    best = row
            elif waits:
                requests_wait = True  # what came later does not overtake it
            elif type(row) is ServerRequest and not requests_wait and (best is None or _goes_before(row, best)):
                best = row
        if holder is not None and self._resend_due(holder, now, profile):
            return holder
        return best

    def goes_confirmed(self, row: Downlink) -> bool:
        """Whether the network is asked to confirm delivery: by endpoint, or by operation; never for an answer."""
        if type(row) is Answer:
            return False
        if self.confirmed:
            return True
        operations = self.options.get(CONFIRMED_OPERATIONS)
        return operations is not None and row.operation in operations.split()

    def resend_at(self, row: Downlink, profile: SouthProfile) -> float | None:
        """Give when a sent request goes again (R8), or None if it does not."""
        if row.state is not _S.SENT or type(row) is not ServerRequest or not row.confirmable or not row.repeatable:
            return None
        if row.cancel_asked:
            return None
        if row.sent > profile.max_retransmit or row.failures >= profile.max_attempts:
            return None
        if not profile.retransmit_confirmed and self.goes_confirmed(row):
            return None
        at = max((row.sent_at or 0.0) + profile.retransmit_interval, row.not_before or 0.0)
        return None if row.deliver_by is not None and at >= row.deliver_by else at

    def _resend_due(self, row: Downlink, now: float, profile: SouthProfile) -> bool:
        at = self.resend_at(row, profile)
        return at is not None and at <= now and (row.deliver_by is None or now < row.deliver_by)

    def _submit(self, row: Downlink, payload: bytes, work: Work) -> None:
        row.attempt += 1
        row.not_before = None
        row.move(_S.SUBMITTING, work.now.wall)
        work.update(row)
        self.call = row.id
        work.effect(Submit(self._attempt(row, payload)))

    def _attempt(self, row: Downlink, payload: bytes) -> Attempt:
        return Attempt(
            row.id,
            row.attempt,
            self.device,
            payload,
            row.KIND,
            row.deliver_by,
            self.goes_confirmed(row),
            1 if type(row) is Answer else 0,
            self.options,
            row.repeatable,
        )

    # -- time ----------------------------------------------------------------------------------------------------

    def expire(self, work: Work, profile: SouthProfile) -> None:
        """Do what deadlines and people ask for (R11): cancel in the network, or end the row."""
        now = work.now.wall
        for row in list(self.live.values()):
            if row.cancel_asked or (row.deliver_by is not None and row.deliver_by <= now):
                self._unwanted(row, work, profile)
            at = self.unanswered_at(row, profile)
            if at is not None and at <= now:
                self.end(row, _S.UNANSWERED, work, "no answer came")

    def unanswered_at(self, row: Downlink, profile: SouthProfile) -> float | None:
        """Give when a request that left for the device counts as unanswered."""
        if row.over or (row.state is not _S.SENT and row.state is not _S.DELIVERED):
            return None
        answer_by = row.answer_by if type(row) is ServerRequest else 0.0
        return max(answer_by, (row.sent_at or 0.0) + profile.response_timeout)

    def _unwanted(self, row: Downlink, work: Work, profile: SouthProfile) -> None:
        """It must not be delivered any more: deliver_by passed, or a person cancelled it.

        What is being submitted waits for the network's answer, what left waits for the device's.
        """
        late = work.now.wall - row.deliver_by if row.deliver_by is not None else -EXPIRY_GRACE  # seconds
        if row.state is _S.QUEUED:
            if row.cancel_asked:
                self.give_up(row, work, "cancelled on request")
            else:
                outcome = row.setback or _S.EXPIRED
                self.end(row, outcome, work, row.reason or "deliver_by passed")
        elif row.state is _S.BUFFERED:
            if row.handle is not None and (profile.can_cancel or row.cancel_asked):
                self.cancelling.add(row.id)
            elif late >= (EXPIRY_GRACE if profile.can_expire else 0.0):
                self.end(row, _S.UNKNOWN, work, "deliver_by passed in the network, which did not say more")
        elif row.state is _S.UNKNOWN:
            being_asked = row.id in self.to_look_up or row.id == self.call
            if not being_asked or late >= EXPIRY_GRACE:
                self.end(row, _S.UNKNOWN, work, row.reason)

    def next_time(self, row: Downlink, now: float, profile: SouthProfile) -> float | None:
        """Give the next wall time at which a live row needs attention, or None if only an event can move it."""
        state = row.state
        if state is _S.SUBMITTING:
            return None
        if state is _S.QUEUED:
            return _first_after(now, row.deliver_by, row.not_before)
        if state is _S.SENT or state is _S.DELIVERED:
            slot_free_at = (row.sent_at or 0.0) + profile.response_timeout
            return _first_after(now, self.resend_at(row, profile), self.unanswered_at(row, profile), slot_free_at)
        if state is _S.UNKNOWN:
            return _first_after(now, self.to_look_up.get(row.id, row.deliver_by))
        if row.id in self.cancelling or row.deliver_by is None:
            return None
        return _first_after(now, row.deliver_by, row.deliver_by + EXPIRY_GRACE)

    # -- ends ----------------------------------------------------------------------------------------------------

    def give_up(self, row: Downlink, work: Work, reason: str) -> None:
        """Try no further: CANCELLED where the device certainly never got it, else UNKNOWN."""
        self.end(row, _S.CANCELLED if row.state is _S.QUEUED and row.never_left else _S.UNKNOWN, work, reason)

    def end(self, row: Downlink, state: DownlinkState, work: Work, reason: str = "") -> None:
        """Give a row its outcome."""
        now = work.now.wall
        row.move(state, now, reason, over=True)
        self.live.pop(row.id, None)
        if type(row) is ServerRequest:
            row.keep_until = now + self.keep
            if state is not _S.RESPONDED and state is not _S.REJECTED and (row.sent > 0 or state is _S.UNKNOWN):
                row.keep_until = now + max(self.keep, self.late_grace)  # an answer may still come
            self.kept.keep(row)
        else:
            row.keep_until = now if row.own_mid is None else now + self.keep
            row.handle = None
        self.cancelling.discard(row.id)
        self.to_look_up.pop(row.id, None)
        self.released.discard(row.id)
        self.presumed.discard(row.id)
        self.ended.append(row)
        work.update(row)
        work.effect(Settled(row.id, Direction.DOWN, row.operation, row.state, row.reason))


def _goes_before(row: ServerRequest, other: Downlink) -> bool:
    """Whether a request goes before one that was accepted earlier."""
    return type(other) is ServerRequest and row.priority > other.priority


def _first_after(now: float, *times: float | None) -> float | None:
    """Give the first of these times that is still to come."""
    first: float | None = None
    for time in times:
        if time is not None and time > now and (first is None or time < first):
            first = time
    return first
