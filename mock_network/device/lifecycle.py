"""When a client bootstraps, registers, updates and leaves, with all its servers (Core TS 1.1 §6.1, §6.2).

No I/O, no clock: events come in with the time, tasks are fetched. After every event, and at `due`, take the tasks and
carry them out; tell `answered` what came of each that is a request.
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from mock_network.device.accounts import NO_MORE_SEQUENCES, Account, Accounts, RetryPolicy
from mock_network.device.registration import MAX_FAILURES, SETTLED, Phase, Registration
from mock_network.device.tasks import Answer, RemoveBootstrapAccount, RequestBootstrap, Task, UndoBootstrap

SESSION_TIMEOUT = 247.0  # seconds without a request of the bootstrap server: EXCHANGE_LIFETIME of RFC 7252


class BootstrapPhase(enum.Enum):
    """The phase of bootstrap."""

    IDLE = "idle"
    WAITING = "waiting"
    """Bootstrap-Request is sent at a time: hold-off, or the pause after a failure."""
    REQUESTING = "requesting"
    SESSION = "session"
    """The bootstrap server is at work."""


@dataclass(slots=True)
class _Bootstrap:
    phase: BootstrapPhase = BootstrapPhase.IDLE
    until: float | None = None
    attempt: int = 0
    remove_account_at: float | None = None


class Lifecycle:
    """The machine. `registrations` are by Short Server ID, of servers that have an account."""

    def __init__(self, accounts: Accounts, *, keep: bool, bootstrap_retry: RetryPolicy | None = None) -> None:
        self.registrations: dict[int, Registration] = {}
        self.bootstrap_failures: list[str] = []
        self._accounts = accounts
        self._keep = keep
        self._retry = bootstrap_retry or RetryPolicy()
        self._bootstrap = _Bootstrap()
        self._tasks: list[Task] = []
        self._ready_since: float | None = None
        """When the last server of the order settled, or bootstrap ended: the next one's delay counts from here."""

    @property
    def bootstrap_phase(self) -> BootstrapPhase:
        """Return the phase of bootstrap."""
        return self._bootstrap.phase

    @property
    def in_session(self) -> bool:
        """Return whether bootstrap requests are expected; the first may come before the Bootstrap-Request's answer."""
        return self._bootstrap.phase in {BootstrapPhase.REQUESTING, BootstrapPhase.SESSION}

    # Events.

    def start(self, now: float, *, fresh: bool = False) -> None:
        """Begin, at power-on or after a reboot. `fresh` forgets what went before, as a factory reset does.

        A client without a server account asks its bootstrap server for one.
        """
        self._tasks.clear()
        if fresh:
            self.registrations.clear()
            self._bootstrap = _Bootstrap()
        elif self.in_session:
            self._failed_bootstrap("the device went down", now)
        self._ready_since = now
        self._match()
        for registration in self.registrations.values():
            registration.start()
        if not self.registrations and self._keep:
            self.bootstrap(now)

    def _match(self) -> None:
        """Let registrations follow the accounts."""
        servers = {account.server_id for account in self._accounts.servers()}
        for gone in set(self.registrations) - servers:
            del self.registrations[gone]
        for server_id in servers - set(self.registrations):
            self.registrations[server_id] = Registration(self._keep)
            if self._keep:
                self.registrations[server_id].queue()

    def bootstrap(self, now: float, *, triggered: bool = False) -> bool:
        """Ask for bootstrap; return whether there is a bootstrap server. `triggered` skips hold-off time and pauses."""
        account = self._accounts.bootstrap()
        if account is None:
            return False
        if self._bootstrap.phase is BootstrapPhase.IDLE or (triggered and not self.in_session):
            self._bootstrap.attempt = 0
            self._wait_for_bootstrap(now if triggered else now + account.hold_off)
        return True

    def _wait_for_bootstrap(self, until: float | None) -> None:
        self._bootstrap.phase, self._bootstrap.until = BootstrapPhase.WAITING, until

    def requests_bootstrap(self) -> None:
        """Record that a Bootstrap-Request is sent now, for any reason."""
        self._bootstrap.phase, self._bootstrap.until = BootstrapPhase.REQUESTING, None

    def session_continues(self, now: float) -> None:
        """Record that the bootstrap server asked for something, or answered that it will."""
        self._bootstrap.phase, self._bootstrap.until = BootstrapPhase.SESSION, now + SESSION_TIMEOUT

    def finished(self, problem: str | None, now: float) -> None:
        """Process a Bootstrap-Finish; `problem` is the fault of the accounts, None if they are consistent."""
        if problem is not None:
            self._failed_bootstrap(problem, now)
            return
        account = self._accounts.bootstrap()
        self._bootstrap = _Bootstrap()
        if account is not None and account.timeout:
            self._bootstrap.remove_account_at = now + account.timeout
        self.registrations.clear()
        self._ready_since = now
        self._match()

    def _failed_bootstrap(self, reason: str, now: float) -> None:
        self.bootstrap_failures.append(reason)
        del self.bootstrap_failures[:-MAX_FAILURES]
        if self._bootstrap.phase is BootstrapPhase.SESSION:
            self._tasks.append(UndoBootstrap())
        self._bootstrap.attempt += 1
        if self._bootstrap.attempt < self._retry.count:
            self._wait_for_bootstrap(now + self._retry.pause(self._bootstrap.attempt))
            return
        self._bootstrap.attempt = 0
        if self._retry.sequence_delay < NO_MORE_SEQUENCES:
            self._wait_for_bootstrap(now + self._retry.sequence_delay)
        else:
            self._bootstrap = _Bootstrap()
        # Neither the servers nor the bootstrap server could be reached: the servers are tried meanwhile.
        for registration in self.registrations.values():
            if registration.keep and registration.phase is Phase.FAILED:
                registration.queue()

    def answered(self, task: Task, answer: Answer, now: float) -> None:
        """Process the result of a request that `take` returned, or that was sent in another way."""
        if isinstance(task, RequestBootstrap):
            # Otherwise the session has begun, or even ended, before its announcement came.
            if self._bootstrap.phase is BootstrapPhase.REQUESTING:
                if answer.ok:
                    self.session_continues(now)
                else:
                    self._failed_bootstrap(answer.code or answer.reason, now)
            return
        if isinstance(task, UndoBootstrap | RemoveBootstrapAccount):
            return
        account, registration = self._accounts.server(task.server), self.registrations.get(task.server)
        if account is None or registration is None:  # a bootstrap removed it meanwhile
            return
        failed = registration.answered(task, answer, account, now)
        if registration.phase in SETTLED:
            self._ready_since = now
        if failed and account.bootstrap_on_failure and self.bootstrap(now):
            registration.phase, registration.wait_until = Phase.FAILED, None

    # What is to be done.

    def due_tasks(self, now: float) -> list[Task]:
        """Return the tasks that are due, each once."""
        tasks, self._tasks = self._tasks, []
        tasks += self._take_bootstrap(now)
        if not self.in_session:
            self._match()
            self._begin_in_order(now)
            for account, registration in self._pairs():
                task = registration.next_task(account, now)
                if task is not None:
                    tasks.append(task)
        return tasks

    def _take_bootstrap(self, now: float) -> Iterator[Task]:
        bootstrap = self._bootstrap
        if bootstrap.remove_account_at is not None and bootstrap.remove_account_at <= now:
            bootstrap.remove_account_at = None
            yield RemoveBootstrapAccount()
        if bootstrap.until is None or bootstrap.until > now:
            return
        if bootstrap.phase is BootstrapPhase.WAITING:
            self.requests_bootstrap()
            yield RequestBootstrap()
        elif bootstrap.phase is BootstrapPhase.SESSION:
            self._failed_bootstrap("no Bootstrap-Finish in time", now)
            yield from self._tasks
            self._tasks = []

    def _pairs(self) -> list[tuple[Account, Registration]]:
        return [
            (account, self.registrations[account.server_id])
            for account in self._accounts.servers()
            if account.server_id in self.registrations
        ]

    def _begin_in_order(self, now: float) -> None:
        """Let servers of the registration order begin one after the other, and all others at once (§6.2.1.2)."""
        ready = self._ready_since if self._ready_since is not None else now
        ordered = [pair for pair in self._pairs() if pair[0].order is not None]
        for account, registration in self._pairs():
            if account.order is None and registration.phase is Phase.QUEUED:
                registration.begin(self._start_of(account, registration, ready, now))
        for account, registration in sorted(ordered, key=lambda pair: (pair[0].order or 0, pair[0].server_id)):
            if registration.phase is Phase.QUEUED:
                registration.begin(self._start_of(account, registration, ready, now))
            blocked = registration.phase is Phase.FAILED and account.failure_block
            if registration.phase not in SETTLED or blocked:
                return

    @staticmethod
    def _start_of(account: Account, registration: Registration, ready: float, now: float) -> float:
        return max(now, ready + account.initial_delay) if registration.initial else now

    def due(self) -> float | None:
        """Return when `take` is to be called next at the latest, None if only an event can bring something about."""
        times = [self._bootstrap.until, self._bootstrap.remove_account_at]
        if not self.in_session:
            times += [registration.due(account) for account, registration in self._pairs()]
        return min((time for time in times if time is not None), default=None)
