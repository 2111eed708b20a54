"""One link: from the first message or the wish to be reachable, through failed openings, to its release."""

import random
from asyncio import TimerHandle
from collections import deque
from typing import Protocol

from bridge.north.contract import Counters, Link, LinkState, Sending
from bridge.north.sessions.channel import Channel, End, Ended
from bridge.tls.contract import Resumption

WAITING = 16  # messages that wait for a link, at most; then they are dropped, and their senders repeat them
FIRST_RETRY = 5.0  # seconds until a link that failed is tried again; doubled each time
LONGEST_RETRY = 300.0
LONGEST_HOLD_OFF = 3600.0  # seconds at most that a server's hold-off is respected
SETTLED = 60.0  # seconds: after being open this long, a failure has a new cause
DEAF = 40.0  # seconds without a message of the server after which a link is opened anew, if a message is unacknowledged

Key = tuple[int, str]  # source and server


class LinkOwner(Protocol):
    """What a link needs of its transport."""

    counted: Counters

    def ask(self, link: "SessionLink", *, urgent: bool) -> None:
        """Let the link be opened, by `begin`, when its turn comes."""

    def settled(self, link: "SessionLink", how: Ended | None, text: str) -> None:
        """Record the result of an opening; None: the link is open."""

    def withdraw(self, link: "SessionLink") -> None:
        """Cancel the request to open the link."""

    def silent(self, server: str) -> tuple[str, float] | None:
        """Return why a server counts as silent, and seconds until it is tried again; None if it does not."""

    def call_later(self, seconds: float, link: "SessionLink") -> TimerHandle:
        """Call the link's `retry` after some seconds."""

    def time(self) -> float:
        """Return monotonic seconds."""

    def tell(self, link: "SessionLink", state: Link) -> None:
        """Report a change of state."""

    def deliver(self, link: "SessionLink", message: bytes) -> None:
        """Pass on a message of the server."""


class SessionLink:
    """A link and its queue. Its user calls the methods above `opened`; a channel calls the others."""

    __slots__ = (
        "_channel", "_failures", "_heard", "_held_until", "_holds", "_owner", "_reason", "_retry", "_since", "_state",
        "_waiting", "key", "resumption", "wanted",
    )  # fmt: skip

    def __init__(self, owner: LinkOwner, key: Key) -> None:
        self.key = key
        self.wanted = (
            False  # the server must be able to reach the endpoint at any time: the link opens again automatically
        )
        self.resumption: Resumption | None = None
        self._owner = owner
        self._state = LinkState.CLOSED
        self._reason = ""
        self._channel: Channel | None = None
        self._waiting: deque[bytes] | None = None
        self._failures = 0
        self._retry: TimerHandle | None = None
        self._since = 0.0  # when it was opened last
        self._heard = 0.0  # when the server was heard last
        self._held_until = 0.0  # until then the server wants no further link
        self._holds = 0  # calls of `pause` that wait for `proceed`

    @property
    def is_free(self) -> bool:
        """Return whether a message would leave now."""
        channel = self._channel
        if self._state is not LinkState.OPEN or channel is None or self._holds:
            return False
        return not channel.is_full and not self._waiting

    def send(self, message: bytes, *, may_wait: bool = True, first: bool = False) -> Sending:
        """Send a message, or let it wait for the link unless `may_wait` is False: then the link only begins to open.

        `first`: over an open link it goes before those that wait.
        """
        channel = self._channel
        if channel is not None and (self.is_free or (first and self._state is LinkState.OPEN)):
            sending = channel.send(message)
            self._owner.counted.sent += sending is not Sending.DROPPED
            self._owner.counted.sent_bytes += len(message) if sending is not Sending.DROPPED else 0
            return sending
        if self._state is LinkState.FAILING:
            return self._drop()
        if channel is None and self._held_until > self._owner.time():
            self._retry_when_allowed()
        elif channel is None:
            self._open(urgent=True)
            if self._owner.silent(self.key[1]) is not None:
                return self._drop()
        if not may_wait:
            return self._drop()
        if self._waiting is None:
            self._waiting = deque()
        if len(self._waiting) >= WAITING:
            return self._drop()
        self._waiting.append(message)
        self._owner.counted.deferred += 1
        return Sending.WAITS

    def open(self) -> None:
        """Let the server reach the endpoint from now on."""
        self.wanted = True
        if self._state is LinkState.CLOSED and self._held_until > self._owner.time():
            self._retry_when_allowed()
        elif self._state is LinkState.CLOSED and self._retry is None:
            self._open(urgent=False)

    def pause(self) -> None:
        """Let messages wait, but for those that are `first`, until `proceed`: the server does not know the client yet.

        The receiver asks for that when the link opens, and another opening may follow before it proceeds.
        """
        self._holds += 1

    def proceed(self) -> None:
        """End what one call of `pause` began."""
        self._holds = max(0, self._holds - 1)
        self.writable()

    def begin(self, channel: Channel) -> None:
        """Set the channel that begins to open."""
        self._channel = channel

    def reopen_if_unheard(self) -> None:
        """Open the link anew if the server was not heard for long: it may have forgotten the session."""
        if self._state is LinkState.OPEN and self._owner.time() - self._heard >= DEAF:
            self._drop_channel(in_order=False)
            self.resumption = None
            self._becomes(LinkState.CLOSED, "the server acknowledged nothing: it may have forgotten the session")
            self._open(urgent=True)

    def close(self, *, in_order: bool) -> None:
        """End the link; queued messages are lost."""
        self.wanted = False
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._owner.withdraw(self)
        self._drop_channel(in_order=in_order)
        self._lose_waiting()
        self._state, self._reason = LinkState.CLOSED, ""

    def end_after_loss(self, reason: str) -> None:
        """Close the link because a message was lost on it; open it again after a pause if it is wanted."""
        if self._state is not LinkState.OPEN:
            return
        self._failures = 0 if self._has_settled else self._failures + 1
        self._owner.counted.closed_unrecorded += 1
        self._drop_channel(in_order=False)
        self._becomes(LinkState.CLOSED, reason)
        if self.wanted or self._waiting:
            self._retry_later()

    def close_idle(self) -> None:
        """Close the link regularly until a message has to be sent."""
        if self._state is LinkState.OPEN and not self._waiting:
            self._drop_channel(in_order=True)
            self._becomes(LinkState.CLOSED, "no message was sent or received for idle_timeout")

    @property
    def view(self) -> Link:
        """Return the current state of the link."""
        silent = self._owner.silent(self.key[1]) if self._channel is None else None
        if silent is not None and self._state is not LinkState.FAILING:
            return Link(LinkState.FAILING, *silent)
        left = None if self._retry is None else max(0.0, self._retry.when() - self._owner.time())
        return Link(self._state, self._reason, left)

    @property
    def idle_since(self) -> float | None:
        """Return when the server was heard last; None while the link is not open."""
        return self._heard if self._state is LinkState.OPEN else None

    @property
    def channel(self) -> Channel | None:
        """Return the channel that is open or opening."""
        return self._channel

    def retry(self) -> None:
        """Try again: the pause has ended."""
        self._retry = None
        if self._state in {LinkState.FAILING, LinkState.CLOSED}:
            self._open(urgent=False)

    # -- called by a channel ------------------------------------------------------------------------------------

    def opened(self, *, resumed: bool) -> None:
        counted = self._owner.counted
        counted.opened += 1
        counted.resumed += resumed
        self._since = self._heard = self._owner.time()
        self._owner.settled(self, None, "")
        self._becomes(LinkState.OPEN)
        self.writable()

    def arrived(self, message: bytes) -> None:
        self._heard = self._owner.time()
        self._owner.deliver(self, message)

    def writable(self) -> None:
        if self._holds:
            return
        while self._waiting and self._channel is not None and not self._channel.is_full:
            message = self._waiting.popleft()
            if self._channel.send(message) is Sending.DROPPED:
                self._owner.counted.send_dropped += 1
            else:
                self._owner.counted.sent += 1
                self._owner.counted.sent_bytes += len(message)
        if not self._waiting:
            self._waiting = None

    def ended(self, end: End) -> None:
        was_open = self._state is LinkState.OPEN
        lasted = was_open and self._has_settled
        self._channel = None
        if not was_open:
            self._owner.counted.open_failed += 1
            self._owner.settled(self, end.how, end.text)
            self.resumption = None
        if end.how is Ended.UNHEARD:
            self._unheard(end.text)
            return
        self._failures = 0 if lasted else self._failures + 1
        self._held_until = self._owner.time() + min(end.hold_off, LONGEST_HOLD_OFF)
        if was_open and end.how in {Ended.CLOSED, Ended.LOST}:
            self._owner.counted.ended_by_server += 1
            self._becomes(LinkState.CLOSED, end.text)
            if self._waiting and self._failures <= 1 and not end.hold_off:
                self._open(urgent=True)
            elif self.wanted or self._waiting:
                self._retry_later(end.hold_off)
            return
        self._lose_waiting()
        self._retry_later(end.hold_off)
        self._becomes(LinkState.FAILING, end.text)

    def _unheard(self, text: str) -> None:
        """Wait for the gate, since the server answers no link: the gate tries again, for this link too."""
        self._lose_waiting()
        self._state = LinkState.CLOSED
        if self.wanted:
            self._open(urgent=False)
        silent = self._owner.silent(self.key[1])
        self._owner.tell(self, Link(LinkState.FAILING, text, None if silent is None else silent[1]))

    # -- inside --------------------------------------------------------------------------------------------------

    @property
    def _has_settled(self) -> bool:
        """Return whether the link, which is open or was until now, has been open for long."""
        return self._owner.time() - self._since >= SETTLED

    def _open(self, *, urgent: bool) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._becomes(LinkState.OPENING)
        self._owner.ask(self, urgent=urgent)

    def _becomes(self, state: LinkState, reason: str = "") -> None:
        if (state, reason) != (self._state, self._reason):
            self._state, self._reason = state, reason
            self._owner.tell(self, self.view)

    def _retry_later(self, at_least: float = 0.0) -> None:
        pause = max(min(FIRST_RETRY * 2 ** max(0, self._failures - 1), LONGEST_RETRY), min(at_least, LONGEST_HOLD_OFF))
        self._retry = self._owner.call_later(pause * random.uniform(1.0, 1.25), self)  # noqa: S311  # spreads, hides nothing

    def _retry_when_allowed(self) -> None:
        """Try again after the server's hold-off (RFC 8323 §5.5), unless that is planned already."""
        if self._retry is None:
            self._retry_later(self._held_until - self._owner.time())

    def _drop(self) -> Sending:
        self._owner.counted.send_dropped += 1
        return Sending.DROPPED

    def _lose_waiting(self) -> None:
        if self._waiting:
            self._owner.counted.send_dropped += len(self._waiting)
        self._waiting = None

    def _drop_channel(self, *, in_order: bool) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close(in_order=in_order)
