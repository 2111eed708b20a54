"""Which scheme of source addresses a configuration asks for."""

import ipaddress
import socket
from collections.abc import Collection, Sequence
from enum import StrEnum

from bridge.errors import ConfigurationError
from bridge.north.udp.addresses import AddressScheme, SocketAddress
from bridge.north.udp.ports import PortsScheme
from bridge.north.udp.prefix import RECEIVE_BUFFER, PrefixScheme
from bridge.north.udp.prefixes import LOOPBACK_PREFIX, check_server, pools

_WILDCARDS = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104  (UDP toward servers; the route chooses)


class Scheme(StrEnum):
    AUTO = "auto"
    PREFIX = "prefix"
    PORTS = "ports"


def choose(
    scheme: Scheme, prefixes: Sequence[str], servers: Collection[SocketAddress | None]
) -> tuple[Scheme, Sequence[str]]:
    """Return PREFIX with its prefixes, or PORTS. `servers` are their addresses, None if a name is not
    resolved yet: such a server does not count as on loopback, since a slow name server must not change the scheme.

    `auto` means the configured prefixes, else the loopback prefix if every server is on IPv4 loopback, else ports.
    Raises ConfigurationError.
    """
    if scheme is Scheme.PORTS:
        return Scheme.PORTS, ()
    if prefixes:
        return Scheme.PREFIX, prefixes
    if servers and all(_on_loopback(server) for server in servers):
        return Scheme.PREFIX, (LOOPBACK_PREFIX,)
    if scheme is Scheme.PREFIX:
        raise ConfigurationError('scheme = "prefix" needs [north] prefixes, since not every server is on loopback')
    return Scheme.PORTS, ()


def build(
    scheme: Scheme,
    servers: Collection[SocketAddress | None],
    *,
    prefixes: Sequence[str] = (),
    port: int,
    ports: range,
    source_address: str = "",
    receive_buffer: int = RECEIVE_BUFFER,
    are_moved: bool = False,
) -> AddressScheme:
    """Make the scheme; nothing is opened before its `listen`. Raises ConfigurationError with the cure.

    `are_moved`: a command makes the parts of the prefixes local later, as shards of a cluster are taken.
    """
    chosen, prefixes = choose(scheme, prefixes, servers)
    known = [server for server in servers if server is not None]
    needed = {socket.AF_INET if len(s) == 2 else socket.AF_INET6 for s in known}  # noqa: PLR2004
    if chosen is Scheme.PREFIX:
        found = pools(prefixes)
        for server in known:
            check_server([p for pool in found.values() for p in pool.prefixes], server[0])
        _check_families(needed, found, "[north] prefixes")
        return PrefixScheme(found, port, receive_buffer, are_moved=are_moved)
    if source_address:
        try:
            own = ipaddress.ip_address(source_address)
        except ValueError:
            raise ConfigurationError(f"source_address {source_address!r} is not an IP address") from None
        addresses: dict[int, str] = {socket.AF_INET if own.version == 4 else socket.AF_INET6: str(own)}  # noqa: PLR2004
        _check_families(needed, addresses, "[north] source_address")
    else:
        addresses = {family: _WILDCARDS[family] for family in sorted(needed or {socket.AF_INET})}
    return PortsScheme(addresses, ports)


def _on_loopback(server: SocketAddress | None) -> bool:
    """Return whether a server can answer to the loopback prefix, which is IPv4."""
    return server is not None and len(server) == 2 and ipaddress.ip_address(server[0]).is_loopback  # noqa: PLR2004


def _check_families(needed: Collection[int], given: Collection[int], where: str) -> None:
    for family in needed:
        if family not in given:
            version = "IPv4" if family == socket.AF_INET else "IPv6"
            raise ConfigurationError(
                f"a server is reached over {version} but {where} has no {version} address; add one"
            )
