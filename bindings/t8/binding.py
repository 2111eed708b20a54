"""What every binding over T8 has in common: client, listener, calls, and the order in which they start and stop."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, Protocol, Self, TypeVar

from bindings.contract import (
    Ambiguous,
    Cancellation,
    Events,
    Listener,
    Lookup,
    Memory,
    PostListener,
    Presence,
    ReadNote,
    Refusal,
    Refused,
    Submission,
    SubmitResult,
)
from bindings.generated_values import known_path, secret_path
from bindings.guarded_calls import STOP_PATIENCE, GuardedCalls
from bindings.http.callbacks import CommitRequest
from bindings.http.messages import Answer, Request
from bindings.shown_calls import Seen, device_of_call
from bindings.t8.client import T8Client
from bindings.t8.identity import canonical_device
from bindings.t8.listener import t8_listener
from bindings.t8.settings import T8Settings
from bridge.errors import BindingError

log = logging.getLogger(__name__)


class DownlinkCalls(Protocol):
    """The calls that hand downlinks to a T8 network, find them and take them back."""

    async def submit(self, attempt: Submission) -> SubmitResult: ...

    async def lookup(self, attempt: Submission) -> Lookup: ...

    async def cancel(self, device: str, handle: str) -> Cancellation: ...


Settings = TypeVar("Settings", bound=T8Settings)
Calls = TypeVar("Calls", bound=DownlinkCalls)


class T8Binding(ABC, Generic[Settings, Calls]):
    """One SCEF or NEF. A subclass makes what is its own in `_open`, `_begin` and `_end`."""

    _downlinks: Calls  # from `_begin` on

    def __init__(
        self,
        name: str,
        settings: Settings,
        kind: str,
        words: str,
        handlers: Mapping[str, CommitRequest] | None = None,
        kept: Callable[[Request], Answer | None] = lambda _request: None,
        *,
        reads_before: bool = False,
    ) -> None:
        """Check the settings, open nothing. Raises ConfigurationError.

        `kind` begins the names of counters, `words` say in the log what the SCEF is for. `handlers`, `kept` and
        `reads_before`: see `t8_listener`.
        """
        self.name = name
        self._settings = settings
        self._words = words
        self._client = T8Client(settings)
        self.listener = t8_listener(
            settings.callbacks, kind, self._commit, self._count, handlers=handlers, kept=kept, reads_before=reads_before
        )
        self._events: Events | None = None
        self._calls = GuardedCalls(name, f"{kind}_internal_errors", self._count)
        self._patience = STOP_PATIENCE
        self.is_shared = False  # whether other nodes run an instance of this network, too

    # What a subclass makes

    def _inherit(self, earlier: Self) -> None:
        """Take over what an earlier instance knows, before `_open`. Then `_open` and `_begin` wait for nothing."""

    @abstractmethod
    def _open(self, events: Events, memory: Memory) -> None:
        """Make what takes notifications; the client is open, the listener is not."""

    @abstractmethod
    async def _begin(self, events: Events, url: str) -> None:
        """Make `_downlinks`, begin what goes on beside. `url`: where the SCEF is to post. Raises StoreUnavailable."""

    @property
    def _longest_call(self) -> float:
        """Return how many seconds a call may take."""
        return self._settings.http.request_timeout

    async def _end(self) -> None:
        """End what goes on beside."""

    @abstractmethod
    def _commit(self, request: Request) -> Awaitable[Answer | None]:
        """Commit a notification."""

    # Life

    async def start(self, events: Events, memory: Memory) -> None:
        """Open the listener, and begin. Raises BindingError (port taken), StoreUnavailable: then nothing stays open."""
        self._open_client(events, memory)
        self._open(events, memory)
        self._events = events
        try:
            await self.listener.start(await secret_path(memory, self._settings.callbacks.path))
            await self._is_open(events)
        except BaseException:  # the next instance needs the port
            await self.listener.stop()
            await self._client.close()
            raise

    @property
    def posts(self) -> PostListener:
        """Return the listener for notifications: see `bindings.contract.ReceivesPosts`."""
        return self.listener

    async def receive(self, note: ReadNote) -> bool:
        """Open the listener before the start; False if its path is not known yet."""
        path = await known_path(note, self._settings.callbacks.path)
        if path is not None:
            await self.listener.start(path)
        return path is not None

    async def succeed(self, earlier: Self, events: Events, memory: Memory) -> None:
        """Take over listener and records; the calls under way finish at the earlier SCEF, with the earlier credentials.

        Raises BindingError (port taken), StoreUnavailable: then the earlier instance runs on.
        """
        callbacks, listener = self._settings.callbacks, earlier.listener
        path = await secret_path(memory, callbacks.path)
        await listener.prepare(self.listener)
        await earlier.retire()
        self._open_client(events, memory)
        self._inherit(earlier)
        self._open(events, memory)
        self._events = events
        listener.replace_with(self.listener, path, callbacks.overlap)
        self.listener, earlier.listener = listener, self.listener  # that one was never started
        await self._is_open(events)

    def _open_client(self, events: Events, memory: Memory) -> None:
        self._client.open(events.now)
        self.is_shared = memory.is_shared
        if memory.is_shared:
            self._client.share_token(memory)

    async def _is_open(self, events: Events) -> None:
        await self._begin(events, self.listener.url)
        self._calls.open = True
        host, port = self.listener.address
        log.info("network %s: %s %s, callbacks on %s port %d", self.name, self._words, self._client.root, host, port)

    async def retire(self) -> None:
        """Begin no calls and no work any more; `stop` then gives the calls under way all the time that they have."""
        self._calls.open = False
        self._patience = self._longest_call
        await self._end()

    async def stop(self) -> None:
        """Take no more notifications, and finish the calls under way; what the SCEF has stays there."""
        if self._events is None:
            await self.listener.stop()  # posts may have been received
            return
        self._calls.open = False
        await self.listener.stop()
        await self._end()
        await self._calls.finish(self._patience)
        await self._client.close()

    @property
    def runs(self) -> bool:
        """Return whether the network instance takes messages now."""
        return self._calls.open

    @property
    def calls_seen(self) -> Seen | None:
        """Return what shows calls about a device: see `bindings.contract.ShowsCalls`."""
        return self._client.seen

    @calls_seen.setter
    def calls_seen(self, seen: Seen | None) -> None:
        self._client.seen = seen

    def _count(self, name: str) -> None:
        if self._events is not None:
            self._events.count(name)

    # Devices

    def canonical_device(self, device: str) -> str:
        """Return the one spelling of an External Identifier or MSISDN. Raises ConfigurationError."""
        return canonical_device(device)

    def listeners(self) -> list[Listener]:
        """Return the listener for callbacks."""
        callbacks = self._settings.callbacks
        return [Listener("callbacks.port", callbacks.bind, callbacks.port)]

    # Downlinks

    @property
    def capacity(self) -> int:
        """Return how many connections to the SCEF there are at the same time."""
        return self._settings.http.pool_size

    async def submit(self, attempt: Submission) -> SubmitResult:
        """POST the attempt."""
        if not self._calls.open:
            return Refused(Refusal.NETWORK_UNAVAILABLE, "the network instance is not running")
        mistake: SubmitResult = Ambiguous("a bug in the bridge, see the log")
        device_of_call.set(attempt.device)
        return await self._calls.run(self._downlinks.submit(attempt), mistake)

    async def lookup(self, attempt: Submission) -> Lookup:
        """GET what is pending, and find the attempt in it."""
        if not self._calls.open:
            return Lookup(Presence.FAILED)
        device_of_call.set(attempt.device)
        return await self._calls.run(self._downlinks.lookup(attempt), Lookup(Presence.FAILED))

    async def cancel(self, device: str, handle: str) -> Cancellation:
        """DELETE what is pending, where the SCEF offers that."""
        if not self._calls.open:
            return Cancellation.UNKNOWN
        device_of_call.set(device)
        return await self._calls.run(self._downlinks.cancel(device, handle), Cancellation.UNKNOWN)

    # What people ask

    def status(self) -> Mapping[str, Any]:
        """Return reachability, credentials and callbacks, as plain JSON values."""
        host, port = self.listener.address
        return {
            "provider": "t8",
            "running": self._calls.open,
            "api": self._client.root,
            "client": self._client.status(),
            "callbacks": {"bind": host, "port": port, "taken": self.listener.taken},
        }

    def _check_running(self) -> None:
        if not self._calls.open:
            raise BindingError(f"network {self.name} is not running: start it before it is checked")
