"""Running traces. While there is none, this module is not called: `tap` is None in the parts that report to it.

A trace is read by cursor from its own ring. A slow reader loses the oldest entries and learns how many; a
trace that is not read ends.
"""

import asyncio
import contextlib
import logging
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

from bridge.errors import LimitReached, NotFound
from bridge.relay import events as ev
from bridge.relay.effects import Effect
from bridge.relay.model import Endpoint
from bridge.trace.entry import Entry, EntryKind
from bridge.trace.seen import of_effect, of_event

log = logging.getLogger(__name__)

MOST = 16  # traces at once
MOST_OF_CALLER = 8  # of these by one caller, so that none takes them all
ENTRIES = 4096  # in a ring, at most
BYTES = 4 << 20  # of messages and notes in a ring, at most
IDLE = 30.0  # seconds without a reader after which a trace ends


class Tap(Protocol):
    """Gets events and effects of endpoints; never raises."""

    def event(self, endpoint: Endpoint, event: ev.Event) -> None: ...

    def effect(self, endpoint: Endpoint, effect: Effect, note: str = "") -> None:
        """Record an effect; `note`: a remark on a message to a server."""

    def call(self, network: str, device: str, text: str) -> None:
        """Record a call of a network's API about a device."""


class Tapped(Protocol):
    """A part with events or effects: it passes them to `tap`, unless that is None."""

    tap: Tap | None


@dataclass(slots=True)
class Trace:
    """One reader's ring. Entries are numbered from 1."""

    endpoint: int
    name: str
    payload: bool  # whether its reader asked for payloads
    read_at: float  # monotonic seconds
    network: str = ""
    device: str = ""  # the endpoint's, on that network
    caller: str = ""  # who began it, as the audit log names callers
    entries: deque[Entry] = field(default_factory=deque)
    last: int = 0  # number of the newest entry
    size: int = 0  # bytes of messages and notes in `entries`
    newer: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.last += 1
        self.size += _size(entry)
        while len(self.entries) > ENTRIES or self.size > BYTES:
            self.size -= _size(self.entries.popleft())
        self.newer.set()

    @property
    def oldest(self) -> int:
        """Return the number of the oldest entry, or of the next one if there is none."""
        return self.last - len(self.entries) + 1

    def after(self, number: int, limit: int) -> tuple[int, list[Entry]]:
        """Return the number of the first existing entry after `number`, and the entries from it on."""
        first = max(number + 1, self.oldest)
        begin = first - self.oldest
        return first, list(islice(self.entries, begin, begin + limit))


def _size(entry: Entry) -> int:
    return len(entry.data) + len(entry.note)


class Traces:
    """All traces of a running bridge; it is the `tap` of the reporting parts while there is a trace."""

    def __init__(
        self,
        tapped: Sequence[Tapped],
        wall: Callable[[], float],
        monotonic: Callable[[], float],
        later: Callable[[float, Callable[[], None]], Any],
    ) -> None:
        """`later` calls a function after some seconds (`loop.call_later`)."""
        self._tapped = tapped
        self._wall = wall
        self._monotonic = monotonic
        self._later = later
        self._traces: dict[str, Trace] = {}

    def begin(
        self, endpoint: int, name: str, *, payload: bool, network: str = "", device: str = "", caller: str = ""
    ) -> str:
        """Begin to trace an endpoint, and return the trace's id. Raises LimitReached if there are too many traces."""
        if sum(one.caller == caller for one in self._traces.values()) >= MOST_OF_CALLER:
            raise LimitReached(f"{MOST_OF_CALLER} traces of {caller} are running already; end one of them")
        if len(self._traces) >= MOST:
            raise LimitReached(f"{MOST} traces are running already; end one of them, or try again later")
        id_ = secrets.token_hex(8)
        self._traces[id_] = Trace(endpoint, name, payload, self._monotonic(), network, device, caller)
        for one in self._tapped:
            one.tap = self
        self._later(IDLE, lambda: self._end_unread(id_))
        return id_

    def trace(self, id_: str) -> Trace:
        """Return a trace that is being read. Raises NotFound if it does not exist, or has ended."""
        found = self._traces.get(id_)
        if found is None:
            raise NotFound(f"no trace {id_!r}: it was ended, or was not read for {IDLE:.0f} s")
        found.read_at = self._monotonic()
        return found

    async def wait(self, id_: str, after: int, seconds: float) -> Trace:
        """Return a trace when it has an entry after `after`, or when some seconds have passed. Raises NotFound."""
        trace = self.trace(id_)
        if trace.last <= after and seconds > 0:
            trace.newer.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(trace.newer.wait(), seconds)
            trace = self.trace(id_)
        return trace

    def end(self, id_: str) -> int:
        """End a trace; return how many entries it had. Raises NotFound."""
        trace = self.trace(id_)
        del self._traces[id_]
        trace.newer.set()
        if not self._traces:
            for one in self._tapped:
                one.tap = None
        return trace.last

    def end_all(self) -> None:
        """End all traces: the service stops."""
        for id_ in list(self._traces):
            self.end(id_)

    def _end_unread(self, id_: str) -> None:
        trace = self._traces.get(id_)
        if trace is None:
            return
        left = trace.read_at + IDLE - self._monotonic()
        if left > 0:
            self._later(left, lambda: self._end_unread(id_))
        else:
            self.end(id_)

    # -- the tap -------------------------------------------------------------------------------------------------

    def event(self, endpoint: Endpoint, event: ev.Event) -> None:
        self._add(endpoint, lambda at: of_event(endpoint, event, at))

    def effect(self, endpoint: Endpoint, effect: Effect, note: str = "") -> None:
        self._add(endpoint, lambda at: of_effect(endpoint, effect, at, note))

    def call(self, network: str, device: str, text: str) -> None:
        for trace in self._traces.values():
            if (trace.network, trace.device) == (network, device):
                trace.add(Entry(self._wall(), EntryKind.CALL, network, note=text))

    def _add(self, endpoint: Endpoint, made: Callable[[float], Entry | None]) -> None:
        wanted = self._of(endpoint.id)
        if not wanted:
            return
        try:
            entry = made(self._wall())
        except Exception:  # a message must pass, whatever a binding put into it
            log.exception("a trace could not show a message", extra={"sample": "trace"})
            return
        if entry is not None:
            for trace in wanted:
                trace.add(entry)

    def _of(self, endpoint: int) -> list[Trace]:
        return [trace for trace in self._traces.values() if trace.endpoint == endpoint]
