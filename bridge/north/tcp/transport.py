"""CoAP over TCP and TLS as a `NorthTransport` (RFC 8323): a connection for each endpoint and server."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

from bridge.errors import NorthUnavailable
from bridge.north.revocation.contract import Revocation
from bridge.north.sessions.channel import Channel, ChannelUser, End, Ended
from bridge.north.sessions.link import SessionLink
from bridge.north.sessions.transport import ChannelMaker, Identify, LinkSettings, SessionNorth
from bridge.north.sessions.verifying import Verifying
from bridge.north.tcp.channel import StreamChannel
from bridge.north.tcp.connecting import connected, family_of
from bridge.north.udp.addresses import SocketAddress
from bridge.north.udp.servers import Servers, as_text
from bridge.tls.contract import Backend, Session
from bridge.tls.credentials import Credentials
from bridge.tls.settings import SessionSettings

LocalHost = Callable[[int, int], str | None]
"""`local_host(source, family)` returns the address that an endpoint's connections come from; None: any."""


@dataclass(frozen=True, slots=True)
class StreamServer:
    """Settings of connections to one server. `backend` and `session` are None for plain TCP.

    `revocation`: asks whether the server's certificate is revoked.
    """

    link: LinkSettings
    backend: Backend | None = None
    session: SessionSettings | None = None
    revocation: Revocation | None = None


class StreamNorth(SessionNorth):
    """`places` has the servers' addresses, kept up to date by its maker. `wall` returns seconds of the wall clock."""

    descriptor_each = True
    new_addresses = True
    repeats = False

    def __init__(
        self,
        places: Servers,
        servers: Mapping[str, StreamServer],
        local_host: LocalHost,
        identify: Identify,
        wall: Callable[[], float],
    ) -> None:
        self._connections = _Maker(places, servers, local_host, wall)
        super().__init__(self._connections, {key: server.link for key, server in servers.items()}, identify)

    def serve(self, servers: Mapping[str, StreamServer], anew: Collection[str]) -> None:
        """Have connections with other servers: see `change`."""
        self._connections.servers = dict(servers)
        self.change({key: server.link for key, server in servers.items()}, anew)


class _Maker(ChannelMaker):
    def __init__(
        self, places: Servers, servers: Mapping[str, StreamServer], local_host: LocalHost, wall: Callable[[], float]
    ) -> None:
        self._places = places
        self.servers = dict(servers)
        self._local_host = local_host
        self._wall = wall

    def make(self, link: SessionLink, user: ChannelUser, credentials: Credentials | None) -> Channel | End:
        """Return a connection that begins to open."""
        source, server = link.key
        place = self._places.destination(server)
        if place is None:
            return End(Ended.UNHEARD, f"the name of server {server!r} cannot be resolved; see the log")
        wanted = self.servers[server]
        session: Session | None = None
        if wanted.backend is not None and wanted.session is not None:
            if credentials is None:
                raise NorthUnavailable(f"server {server!r} needs TLS, but the endpoint has no credentials for it")
            session = wanted.backend.client(wanted.session, credentials, link.resumption)
        connect = partial(self._connect, source, place)
        if wanted.revocation is None or session is None:
            return StreamChannel(server, user, connect, session, self._wall())
        verifying = Verifying(user, session, wanted.revocation)
        channel = StreamChannel(server, verifying, connect, session, self._wall())
        verifying.begin(channel, lambda: link.channel is channel)
        return channel

    def revocations(self) -> list[Revocation]:
        """Return the checks of servers' certificates."""
        return [one.revocation for one in self.servers.values() if one.revocation is not None]

    def address(self, server: str) -> str | None:
        """Return HOST:PORT of a server."""
        found = self._places.destination(server)
        return None if found is None else as_text(found)

    def moved(self, server: str) -> None:
        """Resolve the server's name again soon."""
        self._places.resolve_again(server)

    def _connect(self, source: int, place: SocketAddress, protocol: StreamChannel) -> "asyncio.Future[object]":
        return asyncio.ensure_future(connected(place, self._local_host(source, family_of(place)), protocol))
