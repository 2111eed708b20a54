"""A `NorthTransport` of links that have to be opened, over any kind of channel."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from bridge.coap import udp
from bridge.coap.message import ACK
from bridge.coap.numbers import Code
from bridge.errors import BridgeError
from bridge.north.contract import Counters, Link, LinkState, Receiver, Sending
from bridge.north.revocation.contract import Revocation
from bridge.north.sessions.channel import Channel, ChannelUser, End, Ended
from bridge.north.sessions.gate import Gate, OpeningRate
from bridge.north.sessions.link import Key, SessionLink
from bridge.tls.credentials import Credentials

_log = logging.getLogger("bridge.north")

IDLE_CHECKS = 10  # checks for idle links in the time after which a link is idle

Identify = Callable[[int, str], "asyncio.Future[Credentials]"]
"""`identify(source, server)` returns a future of the endpoint's credentials; it raises a BridgeError with the cure."""


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Settings of the links to one server. `idle_timeout`: seconds after which an idle link is closed;
    0: never. `identified`: links need credentials.
    """

    pace: OpeningRate = field(default_factory=OpeningRate)
    idle_timeout: float = 0.0
    identified: bool = True


class ChannelMaker:
    """Makes channels; a subclass decides which kind."""

    def make(self, link: SessionLink, user: ChannelUser, credentials: Credentials | None) -> Channel | End:
        """Return a channel for a link, which begins to open, and has no events before this returns.

        Return an End if the channel cannot begin. Raises BridgeError with the cure.
        """
        raise NotImplementedError

    def address(self, server: str) -> str | None:
        """Return a server's address for people; None while it is unknown."""
        raise NotImplementedError

    def moved(self, server: str) -> None:
        """Resolve a server's name again: it is silent."""
        raise NotImplementedError

    def revocations(self) -> Iterable[Revocation]:
        """Return the checks of servers' certificates."""
        raise NotImplementedError


class SessionNorth:
    """`bridge.north.contract.NorthTransport` for the servers of one kind."""

    descriptor_each = False
    new_addresses = False  # whether a link that is opened again has another address
    repeats = True  # whether messages that are lost are sent again by their senders (RFC 7252 §4.2)

    def __init__(self, maker: ChannelMaker, servers: Mapping[str, LinkSettings], identify: Identify) -> None:
        self.counted = Counters()
        self.links: dict[Key, SessionLink] = {}
        self._maker = maker
        self._servers = dict(servers)
        self._identify = identify
        self._gates = {server: Gate(settings.pace) for server, settings in servers.items()}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._idle: asyncio.TimerHandle | None = None
        self._receiver: Receiver | None = None

    @property
    def opens_each(self) -> bool:
        """Return whether there are servers whose links have to be opened."""
        return bool(self._servers)

    def change(self, servers: Mapping[str, LinkSettings], anew: Collection[str]) -> None:
        """Have other servers from now on. Links to those of `anew` are closed, and opened again where they were wanted.

        All other links stay as they are; no earlier session is resumed, so that a new link proves itself by what is
        configured now.
        """
        wanted = [key for key, link in self.links.items() if link.wanted and key[1] in anew and key[1] in servers]
        for key in list(self.links):
            if key[1] in anew or key[1] not in servers:
                self._release(key)
        for link in self.links.values():
            link.resumption = None
        self._servers = dict(servers)
        for server in [server for server in self._gates if server not in servers]:
            del self._gates[server]
            timer = self._timers.pop(server, None)
            if timer is not None:
                timer.cancel()
        for server, settings in servers.items():
            if server in self._gates and server not in anew:
                self._gates[server].change(settings.pace)
            else:
                self._gates[server] = Gate(settings.pace)
        for key in wanted:
            self._of(key).open()
        if self._idle is not None:
            self._idle.cancel()
        self._check_idle_later()

    # -- NorthTransport ------------------------------------------------------------------------------------------

    async def start(self, receiver: Receiver) -> None:
        """Begin to open links."""
        self._receiver = receiver
        self._check_idle_later()

    async def stop(self) -> None:
        """End all links without notifying their servers: the next start resumes them."""
        self._receiver = None
        for timer in (*self._timers.values(), self._idle):
            if timer is not None:
                timer.cancel()
        self._timers.clear()
        for link in list(self.links.values()):
            link.close(in_order=False)
        self.links.clear()
        for revocation in self._maker.revocations():
            await revocation.stop()

    def open(self, source: int, servers: Iterable[str]) -> None:
        """Open links to all of the endpoint's servers that are of this kind, paced."""
        if self._receiver is None:
            return
        wanted = {server for server in servers if server in self._servers}
        for server in self._servers:
            if server not in wanted:
                self._release((source, server))
        for server in wanted:
            self._of((source, server)).open()

    def release(self, source: int) -> None:
        """Close all links of an endpoint regularly."""
        for server in self._servers:
            self._release((source, server))

    def leave(self, source: int) -> None:
        """Close all links of an endpoint without telling servers."""
        for server in self._servers:
            self._release((source, server), in_order=False)

    def link(self, source: int, server: str) -> Link:
        """Return the state of a link."""
        if server not in self._servers:
            return Link(LinkState.CLOSED, f"server {server!r} is not configured")
        if self._receiver is None:
            return Link(LinkState.CLOSED)
        found = self.links.get((source, server))
        return Link(LinkState.CLOSED) if found is None else found.view

    def send(
        self,
        source: int,
        server: str,
        message: bytes,
        *,
        opaque: bool = False,
        may_wait: bool = True,
        first: bool = False,
    ) -> Sending:
        """Send one message, opening the link if it is closed. DTLS records of the device's own never pass here.

        Where nobody repeats an answer that is dropped, its link is closed: the server would wait for it for ever.
        """
        if self._receiver is None or server not in self._servers or opaque:
            self.counted.send_dropped += 1
            return Sending.DROPPED
        link = self._of((source, server))
        sending = link.send(message, may_wait=may_wait, first=first)
        if sending is Sending.DROPPED and not self.repeats and _is_answer(message):
            link.end_after_loss("an answer could not be queued: the server reads too slowly")
        return sending

    def pause(self, source: int, server: str) -> None:
        """Let messages over an open link wait until `proceed`."""
        found = self.links.get((source, server))
        if found is not None:
            found.pause()

    def proceed(self, source: int, server: str) -> None:
        """Send what waited because of `pause`."""
        found = self.links.get((source, server))
        if found is not None:
            found.proceed()

    def carries(self, source: int, server: str, message: bytes, *, opaque: bool = False) -> bool:  # noqa: ARG002  # any message
        """Return whether a message would leave now: the link is open, and nothing waits for it."""
        found = None if opaque else self.links.get((source, server))
        return found is not None and found.is_free

    def address(self, server: str) -> str | None:
        """Return HOST:PORT of a server; None while its name is not resolved."""
        return self._maker.address(server)

    def unanswered(self, source: int, server: str) -> None:
        """Open a link anew if its server was not heard for long, and resolve the server's name again."""
        if server in self._servers:
            self._maker.moved(server)
            found = self.links.get((source, server))
            if found is not None and self._receiver is not None:
                found.reopen_if_unheard()

    def unrecorded(self, source: int, server: str) -> None:
        """Close a connection on which a message of the server was lost; a session stays: its server repeats it."""
        found = self.links.get((source, server))
        if not self.repeats and found is not None and self._receiver is not None:
            found.end_after_loss("what the server sent, or the new connection, could not be recorded; see the log")

    def counters(self) -> Counters:
        """Return the current counters."""
        return self.counted

    # -- Owner of links ------------------------------------------------------------------------------------------

    def ask(self, link: SessionLink, *, urgent: bool) -> None:
        """Let a link be opened when its turn comes."""
        self._gates[link.key[1]].ask(link.key, urgent=urgent)
        self._admit(link.key[1])

    def withdraw(self, link: SessionLink) -> None:
        """Cancel the request to open a link."""
        self._gates[link.key[1]].withdraw(link.key)
        self._admit(link.key[1])

    def settled(self, link: SessionLink, how: Ended | None, text: str) -> None:
        """Record the result of an opening."""
        server = link.key[1]
        gate = self._gates[server]
        if how is Ended.UNHEARD:
            self._maker.moved(server)
            gate.unheard(link.key, text, self.time())
        elif how is Ended.LOCAL:
            gate.withdraw(link.key)
        else:
            gate.answered(link.key)
        self._admit(server)

    def silent(self, server: str) -> tuple[str, float] | None:
        """Return why a server counts as silent, and seconds until it is tried again."""
        gate = self._gates[server]
        return (gate.silent, gate.retry_in(self.time())) if gate.silent else None

    def call_later(self, seconds: float, link: SessionLink) -> asyncio.TimerHandle:
        """Call the link's `retry` after some seconds."""
        return asyncio.get_running_loop().call_later(seconds, link.retry)

    def time(self) -> float:
        """Return the event loop's seconds."""
        return asyncio.get_running_loop().time()

    def tell(self, link: SessionLink, state: Link) -> None:
        """Report a change of state."""
        if self._receiver is not None:
            new = self.new_addresses and state.state is LinkState.OPEN
            self._receiver.link_changed(*link.key, replace(state, new_address=new))

    def deliver(self, link: SessionLink, message: bytes) -> None:
        """Pass on a message. If the receiver raises, the next message is still processed."""
        if self._receiver is None:
            return
        source, server = link.key
        self.counted.received += 1
        self.counted.received_bytes += len(message)
        try:
            self._receiver.message(source, (server,), message)
        except Exception:  # noqa: BLE001  # whatever it is, the next message must be taken
            self.counted.receiver_failed += 1
            _log.exception("a message could not be handled", extra={"sample": "receiver"})

    # -- inside --------------------------------------------------------------------------------------------------

    def _of(self, key: Key) -> SessionLink:
        found = self.links.get(key)
        if found is None:
            found = self.links[key] = SessionLink(self, key)
        return found

    def _release(self, key: Key, *, in_order: bool = True) -> None:
        found = self.links.pop(key, None)
        if found is not None:
            found.close(in_order=in_order)

    def _admit(self, server: str) -> None:
        """Begin the openings that are admitted, soon: never inside the call that asked for one."""
        due = self._gates[server].next_in(self.time())
        timer = self._timers.pop(server, None)
        if timer is not None:
            timer.cancel()
        if due is not None and self._receiver is not None:
            self._timers[server] = asyncio.get_running_loop().call_later(due, self._begin, server)

    def _begin(self, server: str) -> None:
        self._timers.pop(server, None)
        gate = self._gates[server]
        for key in gate.admit(self.time()):
            link = self.links.get(key)  # type: ignore[call-overload]  # only keys of links are in the gate
            if link is None:
                gate.withdraw(key)
            elif not self._servers[server].identified:
                self._make(link, None)
            else:
                self._begin_identified(link)
        self._admit(server)

    def _begin_identified(self, link: SessionLink) -> None:
        try:
            future = self._identify(*link.key)
        except Exception as error:  # noqa: BLE001  # whatever it is, the other links must be opened
            link.ended(_local(error))
        else:
            future.add_done_callback(partial(self._identified, link))

    def _identified(self, link: SessionLink, future: "asyncio.Future[Credentials]") -> None:
        if self._receiver is None or self.links.get(link.key) is not link or link.channel is not None:
            return  # the link was released meanwhile, and its request at the gate, too
        error = asyncio.CancelledError() if future.cancelled() else future.exception()
        if error is None:
            self._make(link, future.result())
        else:
            link.ended(_local(error))

    def _make(self, link: SessionLink, credentials: Credentials | None) -> None:
        try:
            made = self._maker.make(link, link, credentials)
        except Exception as error:  # noqa: BLE001  # whatever it is, the other links must be opened
            made = _local(error)
        if isinstance(made, End):
            link.ended(made)
        else:
            link.begin(made)

    def _check_idle_later(self) -> None:
        shortest = min((s.idle_timeout for s in self._servers.values() if s.idle_timeout), default=0.0)
        if shortest and self._receiver is not None:
            self._idle = asyncio.get_running_loop().call_later(shortest / IDLE_CHECKS, self._check_idle)

    def _check_idle(self) -> None:
        now = self.time()
        for link in list(self.links.values()):
            timeout = self._servers[link.key[1]].idle_timeout
            if timeout and link.idle_since is not None and now - link.idle_since >= timeout:
                link.close_idle()
        self._check_idle_later()


def _local(error: BaseException) -> End:
    """Return the end of a link that could not begin because of a fault on this side."""
    if isinstance(error, BridgeError):
        return End(Ended.LOCAL, str(error))
    _log.error("a link could not be opened", exc_info=error, extra={"sample": "open link"})
    return End(Ended.LOCAL, "the link could not be opened because of a bug in the bridge; see the log")


def _is_answer(message: bytes) -> bool:
    """Return whether a message, framed as over UDP, is an answer in an acknowledgement: those are never repeated."""
    mtype, code, *_ = udp.take_apart(message)
    return mtype is ACK and code != Code.EMPTY
