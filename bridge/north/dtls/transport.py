"""CoAP over DTLS as a `NorthTransport`, on top of UDP: an endpoint has the same address as without DTLS."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial

from bridge.errors import NorthUnavailable
from bridge.north.contract import Sending
from bridge.north.dtls.channel import DtlsChannel
from bridge.north.revocation.contract import Revocation
from bridge.north.sessions.channel import Channel, ChannelUser, End, Ended
from bridge.north.sessions.link import SessionLink
from bridge.north.sessions.transport import ChannelMaker, Identify, LinkSettings, SessionNorth
from bridge.north.sessions.verifying import Verifying
from bridge.north.udp.transport import UdpNorth
from bridge.tls.contract import Backend
from bridge.tls.credentials import Credentials
from bridge.tls.settings import SessionSettings


@dataclass(frozen=True, slots=True)
class DtlsServer:
    """Settings of sessions with one server. `revocation`: asks whether its certificate is revoked."""

    backend: Backend
    session: SessionSettings
    link: LinkSettings
    revocation: Revocation | None = None


class DtlsNorth(SessionNorth):
    """`datagram` is called with datagrams from these servers' addresses."""

    def __init__(self, udp: UdpNorth, servers: Mapping[str, DtlsServer], identify: Identify) -> None:
        self._sessions = _Maker(udp, servers)
        super().__init__(self._sessions, {key: server.link for key, server in servers.items()}, identify)

    def serve(self, servers: Mapping[str, DtlsServer], anew: Collection[str]) -> None:
        """Have sessions with other servers: see `change`."""
        self._sessions.servers = dict(servers)
        self.change({key: server.link for key, server in servers.items()}, anew)

    def datagram(self, source: int, servers: tuple[str, ...], datagram: bytes) -> bool:
        """Pass a datagram to its session; return False if there is none."""
        for server in servers:
            link = self.links.get((source, server))
            if link is not None and isinstance(link.channel, DtlsChannel):
                link.channel.receive(datagram)
                return True
        return False


class _Maker(ChannelMaker):
    def __init__(self, udp: UdpNorth, servers: Mapping[str, DtlsServer]) -> None:
        self._udp = udp
        self.servers = dict(servers)

    def make(self, link: SessionLink, user: ChannelUser, credentials: Credentials | None) -> Channel | End:
        """Return a session that has sent its first flight."""
        source, server = link.key
        if credentials is None:
            raise NorthUnavailable(f"server {server!r} needs DTLS, but the endpoint has no credentials for it")
        if self._udp.servers.destination(server) is None:
            return End(Ended.UNHEARD, f"the name of server {server!r} cannot be resolved; see the log")
        self._udp.open(source, (server,))
        wanted = self.servers[server]
        session = wanted.backend.client(wanted.session, credentials, link.resumption)
        send = partial(self._send, source, server)
        if wanted.revocation is None:
            return DtlsChannel(server, session, user, send)
        verifying = Verifying(user, session, wanted.revocation)
        channel = DtlsChannel(server, session, verifying, send)
        verifying.begin(channel, lambda: link.channel is channel)
        return channel

    def revocations(self) -> list[Revocation]:
        """Return the checks of servers' certificates."""
        return [one.revocation for one in self.servers.values() if one.revocation is not None]

    def address(self, server: str) -> str | None:
        """Return HOST:PORT of a server."""
        return self._udp.address(server)

    def moved(self, server: str) -> None:
        """Resolve the server's name again soon."""
        self._udp.servers.resolve_again(server)

    def _send(self, source: int, server: str, datagram: bytes) -> Sending:
        return self._udp.send_record(source, server, datagram)
