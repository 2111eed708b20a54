"""The registration of a client with one server: attempts, back-off, Updates (Core TS 1.1 §6.2). No I/O, no clock."""

import enum
from dataclasses import dataclass, field

from mock_network.device.accounts import NO_MORE_SEQUENCES, Account
from mock_network.device.tasks import Answer, Deregister, Register, Task, Update

MAX_TRANSMIT_WAIT = 93.0  # seconds (RFC 7252 §4.8.2)
MAX_FAILURES = 100  # reasons kept
NOT_FOUND, CONFLICT = "4.04", "4.09"


class Phase(enum.Enum):
    """The phase of a registration."""

    QUEUED = "queued"
    """Its turn in the registration order has not come."""
    WAITING = "waiting"
    """Register is sent at `wait_until`."""
    REGISTERING = "registering"
    REGISTERED = "registered"
    UPDATING = "updating"
    LEAVING = "leaving"
    DISABLED = "disabled"
    """Executed /1/x/4: registers again at `wait_until`."""
    FAILED = "failed"
    """All sequences are used up; the next one begins at `wait_until`, if it is set."""
    AWAY = "away"
    """Not registered, and nothing is done about it."""


SETTLED = frozenset({Phase.REGISTERED, Phase.UPDATING, Phase.LEAVING, Phase.DISABLED, Phase.AWAY, Phase.FAILED})
"""Phases in which the next server of the order may begin; of FAILED, Registration Failure Block says so."""


@dataclass(slots=True)
class Registration:
    """The registration with one server. `keep`: the client registers and stays registered automatically."""

    keep: bool
    phase: Phase = Phase.AWAY
    location: tuple[str, ...] | None = None
    """Path of the registration, None while there is none."""
    registered_at: float | None = None
    """Time of the last answered Register or Update."""
    failures: list[str] = field(default_factory=list)
    """Why attempts failed: response codes, or that no answer came."""
    wait_until: float | None = None
    initial: bool = True
    """No Register succeeded since the start or the last bootstrap: the Initial Registration Delay holds."""
    _attempt: int = 0
    _sequence: int = 1
    _complete: bool = False
    _due: set[str] = field(default_factory=set)
    _leave: bool = False

    @property
    def registered(self) -> bool:
        """Return whether the server answered 2.01 and has not been left since."""
        return self.location is not None

    # Events.

    def start(self) -> None:
        """Begin, at power-on or after a reboot. A registration that was kept is confirmed by an Update."""
        self._leave = False
        if self.registered:
            self.phase, self.wait_until = Phase.REGISTERED, None
            if self.keep:
                self._due.add("sign of life")
        elif self.keep:
            self.queue()
        else:
            self.phase, self.wait_until = Phase.AWAY, None

    def queue(self) -> None:
        """Register as soon as the order lets it, with all attempts ahead."""
        self.location = None
        self.phase, self.wait_until = Phase.QUEUED, None
        self._attempt, self._sequence, self._complete = 0, 1, False
        self._due.clear()

    def begin(self, at: float) -> None:
        """Begin, since the turn of this server has come: register at a time."""
        self.phase, self.wait_until = Phase.WAITING, at

    def forget(self) -> None:
        """Forget the registration: the device no longer knows of it."""
        self.location, self.registered_at = None, None
        self._due.clear()
        if self.phase in {Phase.REGISTERED, Phase.UPDATING}:
            self.phase = Phase.AWAY

    def ask(self, what: str) -> None:
        """Let an Update go out, for `lifetime`, `binding`, `links` or as a `sign of life`."""
        if self.registered:
            self._due.add(what)

    def leave(self, now: float, timeout: float) -> None:
        """De-register, and come back after so many seconds (Disable, §6.3.7)."""
        self.wait_until = now + timeout
        self._leave = True
        if not self.registered:
            self.phase = Phase.DISABLED

    def answered(self, task: Task, answer: Answer, account: Account, now: float) -> bool:
        """Take in what came of a request; return whether registration has failed for good, as bootstrap asks.

        Failed for good is: explicitly rejected, or all sequences used up (/1/x/16).
        """
        if isinstance(task, Register):
            return self._answered_register(task, answer, account, now)
        if isinstance(task, Update):
            self._answered_update(answer, account, now)
        elif isinstance(task, Deregister):
            self._left()
        return False

    def _answered_register(self, task: Register, answer: Answer, account: Account, now: float) -> bool:
        if answer.code == "2.01":
            self.phase, self.location, self.registered_at = Phase.REGISTERED, answer.location, now
            self.initial, self._leave, self.wait_until = False, False, None
            self._due.clear()
            return False
        self._failed(answer)
        if not self.keep:
            self.phase = Phase.REGISTERED if self.registered else Phase.AWAY
            return False
        self.location = None
        if answer.code == CONFLICT and not task.complete:
            # Transport TS 6.8.4: the server does not know the object list and asks for it.
            self._complete = True
            self.begin(now)
            return False
        rejected = answer.code is not None and answer.code.startswith("4.")
        return self._back_off(account, now) or rejected

    def _back_off(self, account: Account, now: float) -> bool:
        self._attempt += 1
        if self._attempt < account.retry.count:
            self.begin(now + account.retry.pause(self._attempt))
            return False
        self._attempt = 0
        used_up = self._sequence >= account.retry.sequences
        self._sequence = 1 if used_up else self._sequence + 1
        endless = account.retry.sequence_delay < NO_MORE_SEQUENCES
        self.begin(now + account.retry.sequence_delay)
        if used_up or not endless:
            self.phase = Phase.FAILED
        if not endless:
            self.wait_until = None
        return used_up

    def _answered_update(self, answer: Answer, account: Account, now: float) -> None:
        self.phase = Phase.REGISTERED
        if answer.ok:
            self.registered_at = now
            return
        self._failed(answer)
        if answer.code == NOT_FOUND:
            self.location = None
            self._again(now)
        elif self.keep:
            # §6.2.2: an Update without success is as a lost registration. A refusal is given time to pass.
            self.location = None
            self._again(now if answer.code is None else now + account.retry.pause(1))

    def _again(self, at: float) -> None:
        if self.keep:
            self.queue()
            self.begin(at)
        else:
            self.phase = Phase.AWAY

    def _left(self) -> None:
        self.location, self.registered_at = None, None
        self._due.clear()
        self.phase = Phase.DISABLED if self._leave else Phase.AWAY
        self._leave = False

    def _failed(self, answer: Answer) -> None:
        self.failures.append(answer.code or answer.reason)
        del self.failures[:-MAX_FAILURES]

    # What is to be done.

    def next_task(self, account: Account, now: float) -> Task | None:
        """Return the request to send now, once; `answered` must follow."""
        if self._leave and self.registered and self.phase is Phase.REGISTERED:
            self.phase = Phase.LEAVING
            return Deregister(account.server_id)
        if self.phase in {Phase.WAITING, Phase.DISABLED, Phase.FAILED} and self._is_time(self.wait_until, now):
            self.phase = Phase.REGISTERING
            return Register(account.server_id, self._complete)
        if self.phase is Phase.REGISTERED and (self._due or self._is_time(self._update_due(account), now)):
            due, self._due = self._due, set()
            self.phase = Phase.UPDATING
            return Update(account.server_id, "lifetime" in due, "binding" in due, "links" in due)
        return None

    @staticmethod
    def _is_time(time: float | None, now: float) -> bool:
        return time is not None and time <= now

    def due(self, account: Account) -> float | None:
        """Return when `take` has the next task, None if only an event can cause one."""
        if self.phase in {Phase.WAITING, Phase.DISABLED, Phase.FAILED}:
            return self.wait_until
        return self._update_due(account) if self.phase is Phase.REGISTERED else None

    def _update_due(self, account: Account) -> float | None:
        if not self.keep or self.registered_at is None or account.lifetime == 0:  # infinite
            return None
        return self.registered_at + max(account.lifetime / 2, account.lifetime - MAX_TRANSMIT_WAIT)
