"""The transport toward servers, as a configuration asks for it."""

import secrets
from collections.abc import Callable, Mapping
from functools import partial

from bridge.config import Config, Secured, plain_connections, secured
from bridge.directory import Directory
from bridge.errors import ConfigurationError, NorthUnavailable
from bridge.north.combined import CombinedNorth
from bridge.north.contract import NorthTransport
from bridge.north.dtls.transport import DtlsNorth, DtlsServer
from bridge.north.identities import KeySource
from bridge.north.revocation.chains import OcspRevocation
from bridge.north.revocation.contract import Revocation
from bridge.north.revocation.lists import ListRevocation
from bridge.north.revocation.responders import Responders
from bridge.north.tcp.transport import StreamNorth, StreamServer
from bridge.north.udp.addresses import AddressScheme
from bridge.north.udp.servers import Servers
from bridge.north.udp.transport import UdpNorth
from bridge.service.identities import Identities

RESOLVE_PATIENCE = 5.0  # seconds that a start or a reload waits for the names of servers; look-ups go on beside


async def udp_north(config: Config) -> UdpNorth:
    """Make the transport over UDP. The addresses that endpoints can have may depend on the servers' addresses."""
    servers = Servers(config.places())
    servers.restrict(config.north.families())
    await servers.resolve(within=RESOLVE_PATIENCE)
    are_moved = config.cluster.enabled and bool(config.cluster.take_command)
    addresses = config.north.addresses(servers.destinations(), are_moved=are_moved)
    servers.restrict(addresses.families)
    return UdpNorth(
        addresses, servers, config.north.resolve_interval, config.north.peer_rate, config.north.amplification
    )


class North:
    """The ways to all servers of a configuration, which may change."""

    def __init__(self, config: Config, udp: UdpNorth, directory: Directory, wall: Callable[[], float]) -> None:
        """Raises ConfigurationError."""
        self._config = config
        self._udp = udp
        self._secured = secured(config)
        self._sources: dict[str, KeySource] = {}
        identities = Identities(directory, udp.addresses.scheme, self._sources)
        self._dtls = DtlsNorth(udp, {}, identities.of)
        self._streams = StreamNorth(udp.servers, {}, partial(_local_host, udp.addresses), identities.of, wall)
        self._responders = Responders(secrets.token_bytes, wall)
        self._combined = CombinedNorth(udp, self._dtls, self._streams, self._responders.checked)
        self._serve(config, self._secured, frozenset())

    @property
    def transport(self) -> NorthTransport:
        """Return one transport for all servers, over all transports."""
        return self._combined

    async def change(self, after: Config, renewed: frozenset[str]) -> None:
        """Reach the servers of another configuration; those at another address are connected with anew.

        `renewed`: servers whose credentials or authorities are others now. Sessions that are open go on, also where
        what they were opened with has changed. Raises ConfigurationError, and then nothing has changed: endpoints
        cannot get other addresses of their own without a restart.
        """
        sessions = secured(after)
        running = self._udp.addresses
        servers = Servers(after.places())
        servers.restrict(after.north.families())
        await servers.resolve(within=RESOLVE_PATIENCE)
        await servers.stop()
        wanted = after.north.addresses(servers.destinations())
        if wanted.scheme != running.scheme or not set(wanted.families) <= set(running.families):
            raise ConfigurationError(
                f"{after.where('[servers]')} with these servers endpoints would have addresses of the scheme "
                f"{wanted.scheme!r} toward servers, and they have {running.scheme!r}: restart the service for that"
            )
        servers.restrict(running.families)
        before = self._config.servers
        anew = frozenset(key for key, one in after.servers.items() if key in before and one.uri != before[key].uri)
        unchanged = {key: one for key, one in self._secured.items() if key in sessions and key not in renewed | anew}
        self._config, self._secured = after, sessions | unchanged
        self._udp.change(servers, after.north.resolve_interval, after.north.peer_rate, after.north.amplification)
        self._serve(after, self._secured, anew)

    def _serve(self, config: Config, sessions: Mapping[str, Secured], anew: frozenset[str]) -> None:
        links = {key: server.links.settings(identified=True) for key, server in config.servers.items()}
        dtls: dict[str, DtlsServer] = {}
        streams = {key: StreamServer(link) for key, link in plain_connections(config).items()}
        for key, one in sessions.items():
            if one.session.stream:
                streams[key] = StreamServer(links[key], one.backend, one.session, self._revocation(key, one))
            else:
                dtls[key] = DtlsServer(one.backend, one.session, links[key], self._revocation(key, one))
        self._sources.clear()
        self._sources.update({key: one.source for key, one in sessions.items()})
        self._combined.reach(dtls, streams)
        self._dtls.serve(dtls, anew)
        self._streams.serve(streams, anew)

    def _revocation(self, key: str, one: Secured) -> Revocation | None:
        section, asked = one.asks_ocsp, None
        if section is not None:
            accept = section.ocsp_unavailable == "accept"
            asked = OcspRevocation(self._responders, key, section.ocsp_responder, accept_unproven=accept)
        if one.lists is None:
            return asked
        return ListRevocation(one.lists, key, self._responders.checked, self._responders.jitter, asked)


def _local_host(addresses: AddressScheme, source: int, family: int) -> str | None:
    """Return the local address of an endpoint's connections; None: the route decides."""
    try:
        host = addresses.local(source, family)[0]
    except NorthUnavailable:
        return None
    return None if host in {"0.0.0.0", "::"} else host  # noqa: S104  (compared with, not listened on)
