"""CoAP over UDP as a `NorthTransport`: a link is an endpoint's own socket address and a server's resolved name."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from bridge.background import kept_up
from bridge.errors import NorthUnavailable
from bridge.north.contract import Counters, Link, LinkState, Receiver, Sending
from bridge.north.udp.addresses import AddressScheme, SocketAddress
from bridge.north.udp.peers import AMPLIFICATION, RATE, Peers, is_answer, is_request
from bridge.north.udp.servers import INTERVAL, Servers, as_text

_log = logging.getLogger("bridge.north")

RETRY_AFTER = 30.0
"""Seconds between two attempts to open an endpoint's own address, while another program has it."""

_OPEN = Link(LinkState.OPEN)
_random = random.SystemRandom()


class UdpNorth:
    """Endpoints have addresses by one of the two schemes; servers are resolved by name.

    There is no session: a link is open once the endpoint's address is usable and the server's name is resolved.
    """

    def __init__(
        self,
        addresses: AddressScheme,
        servers: Servers,
        resolve_interval: float = INTERVAL,
        rate: float = RATE,
        amplification: int = AMPLIFICATION,
    ) -> None:
        """`rate` and `amplification`: limits of what a server can cause at an endpoint, see `Peers`; 0: no limit."""
        self.addresses = addresses
        self.servers = servers
        self._resolve_interval = resolve_interval
        self._receiver: Receiver | None = None
        self._watching: asyncio.Task[None] | None = None
        self._failing: dict[int, str] = {}  # source → why its address cannot be used
        self._retry: asyncio.TimerHandle | None = None
        self._dropped = 0  # messages that were not passed to a socket
        self._strangers = 0
        self._peers = Peers(time.monotonic, lambda: _random.getrandbits(16), rate, amplification)

    async def start(self, receiver: Receiver) -> None:
        """Open the sockets that serve all endpoints, and keep names resolved. Raises NorthUnavailable with the cure."""
        self._receiver = receiver
        self.addresses.listen(self._datagram)
        self._watching = asyncio.create_task(self._watch(self._resolve_interval))

    def change(self, servers: Servers, resolve_interval: float, rate: float, amplification: int) -> None:
        """Reach other servers from now on; `servers` has resolved their names as far as that could be done."""
        self.servers.replace_with(servers)
        self._peers.rate, self._peers.amplification = rate, amplification
        if resolve_interval != self._resolve_interval:
            self._resolve_interval = resolve_interval
            if self._watching is not None:
                self._watching.cancel()
                self._watching = asyncio.create_task(self._watch(resolve_interval))

    def _watch(self, interval: float) -> Coroutine[Any, Any, None]:
        return kept_up("resolving names of servers", partial(self.servers.watch, interval))

    async def stop(self) -> None:
        """Close all sockets, and stop resolving names."""
        self._receiver = None
        if self._retry is not None:
            self._retry.cancel()
        self._failing.clear()
        self.addresses.close()
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
            self._watching = None
        await self.servers.stop()

    @property
    def opens_each(self) -> bool:
        """Return whether each endpoint has a socket of its own."""
        return self.addresses.opens_each

    @property
    def descriptor_each(self) -> bool:
        """Return whether each endpoint has a socket of its own."""
        return self.addresses.opens_each

    def open(self, source: int, servers: Iterable[str]) -> None:  # noqa: ARG002  # one socket toward all of them
        """Make an endpoint's own address usable, now or by later attempts."""
        self._open(source)

    def _open(self, source: int) -> None:
        if self._receiver is None or self.addresses.is_open(source):
            return
        try:
            self.addresses.open(source)
        except NorthUnavailable as error:
            self._fails(source, str(error))
        else:
            self._works(source)

    def release(self, source: int) -> None:
        """Release an endpoint's own address."""
        self._failing.pop(source, None)
        self.addresses.release(source)

    def leave(self, source: int) -> None:
        """Release an endpoint's own address: there is nothing to tell servers."""
        self.release(source)

    def link(self, source: int, server: str) -> Link:
        """Return the state of a link."""
        if self._receiver is None:
            return Link(LinkState.CLOSED)
        why = self._failing.get(source)
        if why is not None:
            waits = None if self._retry is None else max(0.0, self._retry.when() - asyncio.get_running_loop().time())
            return Link(LinkState.FAILING, why, waits)
        if server not in self.servers:
            return Link(LinkState.CLOSED, f"server {server!r} is not configured")
        if self.servers.destination(server) is None:
            return Link(LinkState.FAILING, f"the name of server {server!r} cannot be resolved; see the log")
        return _OPEN if self.addresses.is_open(source) else Link(LinkState.CLOSED)

    def send(
        self,
        source: int,
        server: str,
        message: bytes,
        *,
        opaque: bool = False,
        may_wait: bool = True,
        first: bool = False,  # noqa: ARG002  # nothing is held back here
    ) -> Sending:
        """Send a datagram from the endpoint's own address, to the server's CoAP port, or its DTLS port if `opaque`."""
        destination = self.servers.destination(server, secure=opaque)
        if destination is None:
            self._dropped += 1
            return Sending.DROPPED
        if not opaque:
            key = (source, destination[0], destination[1])
            answers = is_answer(message)
            if answers:
                outgoing = self._peers.answer(key, message, keep=may_wait)
                if not outgoing.now:
                    waits = self._prove(source, destination, outgoing.ping)
                    return waits if may_wait else Sending.DROPPED
            if self._peers.taken(key, message):
                self._dropped += 1
                return Sending.DROPPED
            if not answers and is_request(message):
                self._peers.request(key, message)
        return self._send(source, destination, message)

    def carries(self, source: int, server: str, message: bytes, *, opaque: bool = False) -> bool:
        """Return whether a datagram would leave now: `send` would hold it back for no reason that it knows.

        The server's address is known, may get so many bytes, and would not take it for a ping; no other datagram waits.
        """
        destination = self.servers.destination(server, secure=opaque)
        if destination is None:
            return False
        if not opaque:
            key = (source, destination[0], destination[1])
            if (is_answer(message) and not self._peers.allows(key, message)) or self._peers.taken(key, message):
                return False
        if not self.addresses.is_open(source) and source not in self._failing:
            self._open(source)
        return self.addresses.is_open(source) and self.addresses.is_free(source, destination)

    def send_record(self, source: int, server: str, datagram: bytes) -> Sending:
        """Send a datagram of a DTLS session of the endpoint with a server, whose address DTLS itself proves."""
        destination = self.servers.destination(server)
        if destination is None:
            self._dropped += 1
            return Sending.DROPPED
        return self._send(source, destination, datagram)

    def address(self, server: str) -> str | None:
        """Return HOST:PORT of a server's CoAP port; None while its name is not resolved."""
        found = self.servers.destination(server)
        return None if found is None else as_text(found)

    def pause(self, source: int, server: str) -> None:
        """Do nothing: an address stays the endpoint's own."""

    def proceed(self, source: int, server: str) -> None:
        """Do nothing."""

    def unrecorded(self, source: int, server: str) -> None:
        """Do nothing: the server repeats its message."""

    def unanswered(self, source: int, server: str) -> None:  # noqa: ARG002  # there is no session to doubt
        """Resolve the server's name again soon."""
        self.servers.resolve_again(server)

    def counters(self) -> Counters:
        """Return the current counters."""
        counters = self.addresses.counters()
        peers = self._peers.counted
        return replace(
            counters,
            send_dropped=counters.send_dropped + self._dropped,
            strangers=self._strangers,
            limited=peers.limited,
            pings=peers.pings,
            unproven=peers.unproven,
        )

    def _datagram(self, source: int, remote: SocketAddress, data: bytes) -> None:
        servers = self.servers.at(remote)
        if not servers:
            self._strangers += 1
            _log.warning("datagram from an unknown sender dropped", extra={"remote": remote[0], "sample": "stranger"})
        elif self._receiver is not None:
            arrival = self._peers.received((source, remote[0], remote[1]), data)
            if arrival.accepted:
                self._receiver.message(source, servers, data)
            for message in arrival.answers:
                self._send(source, remote, message)

    def _prove(self, source: int, destination: SocketAddress, ping: bytes) -> Sending:
        """Ask a server to show that it has its address, while an answer waits for that."""
        if ping:
            self._send(source, destination, ping)
        return Sending.WAITS

    def _send(self, source: int, destination: SocketAddress, message: bytes) -> Sending:
        try:
            return self.addresses.send(source, destination, message)
        except NorthUnavailable:
            if source not in self._failing:
                return self._open_and_send(source, destination, message)
        self._dropped += 1
        return Sending.DROPPED

    def _open_and_send(self, source: int, destination: SocketAddress, message: bytes) -> Sending:
        self._open(source)
        with contextlib.suppress(NorthUnavailable):
            return self.addresses.send(source, destination, message)
        self._dropped += 1
        return Sending.DROPPED

    def _fails(self, source: int, why: str) -> None:
        if self._retry is None:
            self._retry = asyncio.get_running_loop().call_later(RETRY_AFTER, self._try_again)
        if self._failing.get(source) == why:
            return
        self._failing[source] = why
        self._tell(source, Link(LinkState.FAILING, why, RETRY_AFTER))

    def _works(self, source: int) -> None:
        self._failing.pop(source, None)
        self._tell(source, _OPEN)

    def _tell(self, source: int, link: Link) -> None:
        if self._receiver is not None:
            self._receiver.link_changed(source, None, link)

    def _try_again(self) -> None:
        self._retry = None
        for source in list(self._failing):
            self._open(source)
