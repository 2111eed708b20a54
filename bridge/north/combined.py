"""All ways to reach servers as one `NorthTransport`: each server has one, UDP, DTLS on it, TCP, or TLS."""

from collections.abc import Iterable
from dataclasses import fields

from bridge.north.contract import Counters, Link, NorthTransport, Receiver, Sending
from bridge.north.dtls.transport import DtlsNorth
from bridge.north.revocation.contract import RevocationCounters
from bridge.north.udp.transport import UdpNorth


class CombinedNorth:
    """`udp` carries datagrams for `dtls`, too; `streams` reaches servers over TCP and TLS."""

    def __init__(
        self,
        udp: UdpNorth,
        dtls: DtlsNorth,
        streams: NorthTransport,
        checked: RevocationCounters | None = None,
    ) -> None:
        """`checked`: counters of the checks of servers' certificates."""
        self._udp, self._dtls, self._streams = udp, dtls, streams
        self._dtls_servers: frozenset[str] = frozenset()
        self._stream_servers: frozenset[str] = frozenset()
        self._all: tuple[NorthTransport, ...] = (udp, dtls, streams)
        self._receiver: Receiver | None = None
        self._unclaimed = 0
        self._checked = checked or RevocationCounters()

    def reach(self, dtls: Iterable[str], streams: Iterable[str]) -> None:
        """Reach these servers by sessions of DTLS, and these by connections; all others by plain UDP."""
        self._dtls_servers, self._stream_servers = frozenset(dtls), frozenset(streams)

    async def start(self, receiver: Receiver) -> None:
        """Begin to receive. Raises NorthUnavailable with the cure."""
        self._receiver = receiver
        await self._udp.start(self)
        await self._dtls.start(receiver)
        await self._streams.start(receiver)

    async def stop(self) -> None:
        """Close all links and receive no more."""
        self._receiver = None
        for one in reversed(self._all):
            await one.stop()

    @property
    def opens_each(self) -> bool:
        """Return whether `open` does anything."""
        return any(one.opens_each for one in self._all)

    @property
    def descriptor_each(self) -> bool:
        """Return whether every endpoint, or its every link, takes a file descriptor."""
        return self._udp.descriptor_each or bool(self._stream_servers)

    def open(self, source: int, servers: Iterable[str]) -> None:
        """Let servers reach an endpoint before it has sent a message."""
        keys = tuple(servers)
        for one in self._all:
            one.open(source, keys)

    def release(self, source: int) -> None:
        """Close all links of an endpoint."""
        for one in reversed(self._all):  # a session sends close_notify from its endpoint's address
            one.release(source)

    def leave(self, source: int) -> None:
        """Close all links of an endpoint without telling servers."""
        for one in reversed(self._all):
            one.leave(source)

    def link(self, source: int, server: str) -> Link:
        """Return the state of a link."""
        return self._of(server).link(source, server)

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
        """Send one message, over the transport of its server.

        A device's own DTLS is not sent to a server with which the bridge has a session: the two could not be
        told apart.
        """
        if opaque and self._has_session_there(source, server):
            self._unclaimed += 1
            return Sending.DROPPED
        return self._of(server).send(source, server, message, opaque=opaque, may_wait=may_wait, first=first)

    def pause(self, source: int, server: str) -> None:
        """Let messages over an open link wait until `proceed`."""
        self._of(server).pause(source, server)

    def proceed(self, source: int, server: str) -> None:
        """Send what waited because of `pause`."""
        self._of(server).proceed(source, server)

    def carries(self, source: int, server: str, message: bytes, *, opaque: bool = False) -> bool:
        """Return whether this message would leave now."""
        if opaque and self._has_session_there(source, server):
            return False
        return self._of(server).carries(source, server, message, opaque=opaque)

    def address(self, server: str) -> str | None:
        """Return a server's address for people."""
        return self._of(server).address(server)

    def unanswered(self, source: int, server: str) -> None:
        """Record that a server acknowledged nothing."""
        self._of(server).unanswered(source, server)

    def unrecorded(self, source: int, server: str) -> None:
        """Record that a message of a server could not be recorded."""
        self._of(server).unrecorded(source, server)

    def counters(self) -> Counters:
        """Return the sums. Messages of DTLS count once as messages, and once as datagrams."""
        parts = [one.counters() for one in self._all]
        sums = {name: sum(getattr(part, name) for part in parts) for name in _COUNTERS}
        sums["strangers"] += self._unclaimed
        checked = self._checked
        sums |= {"ocsp_asked": checked.asked, "ocsp_unproven": checked.unproven}
        sums |= {"listed_refused": checked.listed, "listed_closed": checked.listed_open}
        sums |= {"ocsp_refused": checked.refused, "ocsp_closed": checked.closed}
        return Counters(**sums)

    # -- Receiver of the datagrams -------------------------------------------------------------------------------

    def message(self, source: int, servers: tuple[str, ...], message: bytes) -> None:
        """Pass a datagram to its session, else to the bridge."""
        if not self._dtls_servers and self._receiver is not None:
            self._receiver.message(source, servers, message)
            return
        if self._dtls.datagram(source, servers, message):
            return
        plain = tuple(server for server in servers if server not in self._dtls_servers)
        if plain and self._receiver is not None:
            self._receiver.message(source, plain, message)
        else:
            self._unclaimed += 1  # of a session that has ended, or never existed

    def link_changed(self, source: int, server: str | None, link: Link) -> None:
        """Report a change of an endpoint's own address."""
        if self._receiver is not None:
            self._receiver.link_changed(source, server, link)

    def _has_session_there(self, source: int, server: str) -> bool:
        place = self._udp.servers.destination(server, secure=True)
        others = () if place is None else self._udp.servers.at(place)
        return any((source, other) in self._dtls.links for other in others)

    def _of(self, server: str) -> NorthTransport:
        if server in self._dtls_servers:
            return self._dtls
        return self._streams if server in self._stream_servers else self._udp


_COUNTERS = tuple(one.name for one in fields(Counters))
