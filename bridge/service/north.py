"""The transport toward servers, as a configuration asks for it."""

from collections.abc import Callable
from functools import partial

from bridge.config import Config, plain_connections, secured
from bridge.directory import Directory
from bridge.errors import NorthUnavailable
from bridge.north.combined import CombinedNorth
from bridge.north.contract import NorthTransport
from bridge.north.dtls.transport import DtlsNorth, DtlsServer
from bridge.north.tcp.transport import StreamNorth, StreamServer
from bridge.north.udp.addresses import AddressScheme
from bridge.north.udp.servers import Servers
from bridge.north.udp.transport import UdpNorth
from bridge.service.identities import Identities

RESOLVE_PATIENCE = 5.0  # seconds that a start waits for the names of servers; the look-ups go on beside


async def udp_north(config: Config) -> UdpNorth:
    """Make the transport over UDP. The addresses that endpoints can have may depend on the servers' addresses."""
    servers = Servers(config.places())
    servers.restrict(config.north.families())
    await servers.resolve(within=RESOLVE_PATIENCE)
    addresses = config.north.addresses(servers.destinations())
    servers.restrict(addresses.families)
    return UdpNorth(addresses, servers, config.north.resolve_interval)


def whole_north(config: Config, udp: UdpNorth, directory: Directory, wall: Callable[[], float]) -> NorthTransport:
    """Return a transport to all servers: `udp` alone if no server needs another one. Raises ConfigurationError."""
    sessions = secured(config)
    dtls: dict[str, DtlsServer] = {}
    streams = {key: StreamServer(link) for key, link in plain_connections(config).items()}
    for key, one in sessions.items():
        if one.session.stream:
            streams[key] = StreamServer(one.link, one.backend, one.session)
        else:
            dtls[key] = DtlsServer(one.backend, one.session, one.link)
    if not dtls and not streams:
        return udp
    sources = {key: one.source for key, one in sessions.items()}
    identities = Identities(directory, udp.addresses.scheme, sources)
    return CombinedNorth(
        udp,
        DtlsNorth(udp, dtls, identities.of),
        StreamNorth(udp.servers, streams, partial(_local_host, udp.addresses), identities.of, wall),
        (frozenset(dtls), frozenset(streams)),
    )


def _local_host(addresses: AddressScheme, source: int, family: int) -> str | None:
    """Return the local address of an endpoint's connections; None: the route decides."""
    try:
        host = addresses.local(source, family)[0]
    except NorthUnavailable:
        return None
    return None if host in {"0.0.0.0", "::"} else host  # noqa: S104  (compared with, not listened on)
