"""What the runner needs of the parts around it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from bindings.contract import Miss
from bridge.delivery.rows import Change
from bridge.directory.keys import ById, Key
from bridge.directory.record import EndpointRecord
from bridge.errors import BridgeError
from bridge.relay import events as ev
from bridge.relay.effects import Effect
from bridge.service.placed import Placed
from bridge.service.waiting import Waiting
from bridge.store.contract import Done, FoundEndpoint, FoundWithNote, StoredEndpoint


class Ledger(Protocol):
    """What the runner needs of a store (`bridge.store.contract.Ledger`)."""

    def load(self, key: Key, now: float, done: FoundEndpoint) -> None: ...

    def commit(
        self, changes: Sequence[Change], done: Done, *, endpoint: int | None = None, shard: int | None = None
    ) -> None: ...

    def load_with_note(self, network: str, key: str, now: float, done: FoundWithNote) -> None: ...

    def next_id(self) -> int: ...


class Notes(Protocol):
    """What the runner needs of the notes of networks (`bridge.store.notes.Memories`)."""

    def hold(self, network: str, device: str, notes: Mapping[str, bytes]) -> None: ...

    def release(self, network: str, device: str) -> None: ...


class DirectoryRecords(Protocol):
    """What the runner needs of the directory (`bridge.directory.Directory`)."""

    def cached(self, key: Key) -> EndpointRecord | Miss: ...

    def keep(self, found: EndpointRecord) -> None: ...


class Announcer(Protocol):
    """Makes events for webhooks and streams (`bridge.service.announcer`)."""

    def of_step(self, placed: Placed, effects: Sequence[Effect]) -> list[Change]:
        """Return the event rows for a step's effects."""

    def committed(self) -> None:
        """Wake readers that wait for events."""


class Actor(Protocol):
    """Carries out effects; never raises."""

    def act(self, placed: Placed, effect: Effect, result: Callable[[Placed, ev.Event], None]) -> None:
        """Carry out one effect. What it led to is passed to `result` later, as an event of the endpoint.

        That is the result of a network call, or that a message which no server acknowledges has left.
        """

    def carries(self, placed: Placed, server: str, message: bytes, secure: bool) -> bool:  # as a step calls it
        """Return whether this message of an endpoint to a server, or to its DTLS port, would leave now."""

    def call_in_flight(self, endpoint: int) -> tuple[int, int] | None:
        """Return downlink and attempt whose network call is in flight for an endpoint, or None."""


async def read(store: Ledger, endpoint: int, now: float) -> StoredEndpoint | None:
    """Return an endpoint as it is stored, with what is needed at wall time `now`. Raises StoreUnavailable."""
    found: asyncio.Future[StoredEndpoint | None] = asyncio.get_running_loop().create_future()

    def done(there: StoredEndpoint | None, error: BridgeError | None) -> None:
        if not found.done():
            found.set_result(there) if error is None else found.set_exception(error)

    store.load(ById(endpoint), now, done)
    return await found


def tell(waiting: list[Waiting], error: BaseException | None) -> None:
    """Call what waits for the commit of each event."""
    for _, done in waiting:
        if done is not None:
            done(error)
