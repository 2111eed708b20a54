"""Events that wait until the store has read their endpoint."""

from collections.abc import Callable

from bridge.directory.keys import Key
from bridge.errors import StoreUnavailable
from bridge.relay import events as ev
from bridge.store.contract import Done

EACH = 64  # events of peers that wait for one endpoint
ALL = 20_000  # events of peers that wait in all

OF_PEERS = (
    ev.ServerDatagram, ev.DeviceMessage, ev.Reported, ev.DeviceReachable, ev.DeviceJoined, ev.LinkOpened,
)  # fmt: skip
"""Events of which a peer can cause any number. All others are made by the bridge, a few for each endpoint."""

Waiting = tuple[ev.Event, Done | None]


class WaitingEvents:
    """Lists of events, each in the order of arrival, by the key of their endpoint. Bounded (R30)."""

    def __init__(self, count: Callable[..., None]) -> None:
        self._lists: dict[Key, list[Waiting]] = {}
        self._of_peers = 0
        self._count = count

    def __contains__(self, key: Key) -> bool:
        return key in self._lists

    def __len__(self) -> int:
        return len(self._lists)

    def add(self, key: Key, event: ev.Event, done: Done | None) -> bool:
        """Let an event wait, and return whether it is the first one under its key.

        If too many wait already, `done` of an event that a peer caused is called with StoreUnavailable.
        """
        events = self._lists.get(key)
        if isinstance(event, OF_PEERS):
            if self._of_peers >= ALL or (events is not None and len(events) >= EACH):
                self._count("waiting_events_refused")
                if done is not None:
                    done(StoreUnavailable("too many messages wait for the store to be read"))
                return False
            self._of_peers += 1
        if events is None:
            self._lists[key] = [(event, done)]
            return True
        events.append((event, done))
        return False

    def pop(self, key: Key) -> list[Waiting]:
        """Remove and return the events that wait under a key."""
        events = self._lists.pop(key, [])
        self._of_peers -= sum(isinstance(event, OF_PEERS) for event, _ in events)
        return events
