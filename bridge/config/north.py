"""How servers see endpoints: the section [north]."""

import socket
from collections.abc import Collection
from typing import Annotated

import msgspec
from msgspec import Meta

from bindings.ranges import Port
from bridge.north.udp.addresses import AddressScheme, SocketAddress
from bridge.north.udp.peers import RATE
from bridge.north.udp.prefix import RECEIVE_BUFFER
from bridge.north.udp.prefixes import pools
from bridge.north.udp.scheme import Scheme, build
from bridge.north.udp.servers import INTERVAL

LAST_PORT = 65535


class North(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How servers see endpoints: each has one stable source address. No NAT may sit between bridge and servers."""

    scheme: Annotated[
        Scheme,
        Meta(
            description="prefix: an address for each endpoint; ports: a port for each; auto: prefix if prefixes are "
            "given or all servers are on IPv4 loopback, else ports"
        ),
    ] = Scheme.AUTO
    prefixes: Annotated[
        list[str],
        Meta(
            description="prefix: source addresses of endpoints, e.g. 10.64.0.0/16 or 2001:db8:5::/64; servers need "
            "a route for them to this host, and this host a local one: ip route add local PREFIX dev lo. "
            "Append, never reorder. None and all servers on loopback: 127.64.0.0/10, which needs no route"
        ),
    ] = msgspec.field(default_factory=list)
    port: Annotated[
        Port,
        Meta(
            description="prefix: the one UDP source port of all endpoints; changing it makes them all register anew; "
            "best outside net.ipv4.ip_local_port_range"
        ),
    ] = 15683
    ports: Annotated[
        str,
        Meta(
            pattern=r"^\d+-\d+$",
            description="ports: first and last UDP source port, outside net.ipv4.ip_local_port_range; "
            "each endpoint uses one",
        ),
    ] = "20000-29999"
    source_address: Annotated[
        str, Meta(description="ports: address that all endpoints send from; empty: chosen by the route to the server")
    ] = ""
    receive_buffer: Annotated[
        int,
        Meta(ge=4096, le=1 << 30, description="bytes of the receive buffer asked for (net.core.rmem_max limits it)"),
    ] = RECEIVE_BUFFER
    resolve_interval: Annotated[
        float, Meta(ge=1, le=86400, description="seconds between two resolutions of the servers' names")
    ] = INTERVAL
    peer_rate: Annotated[
        float,
        Meta(
            ge=0,
            le=1_000_000,
            description="datagrams in a second that one endpoint takes from one server, of which twice as many may "
            "come at once; what exceeds that is dropped and counted. 0: no limit",
        ),
    ] = RATE
    amplification: Annotated[
        int,
        Meta(
            ge=0,
            le=1000,
            description="over plain UDP a server gets answers of at most so many times its own bytes until it has "
            "shown that it receives at its address; 0: no limit, for a server that answers no CoAP ping in a network "
            "where addresses cannot be forged",
        ),
    ] = 3

    def __post_init__(self) -> None:
        ports = self.port_range()
        if not ports or ports.start < 1 or ports.stop > LAST_PORT + 1:
            raise ValueError(
                f"ports {self.ports} is not a range within 1-{LAST_PORT}; write the first port, -, the last"
            )

    def port_range(self) -> range:
        """Return the ports of the scheme `ports`."""
        first, _, last = self.ports.partition("-")
        return range(int(first), int(last) + 1)

    def families(self) -> frozenset[int]:
        """Return the address families over which servers can be reached: their names are resolved to these only."""
        if self.prefixes and self.scheme is not Scheme.PORTS:
            return frozenset(pools(self.prefixes))
        if self.source_address:
            return frozenset({socket.AF_INET6 if ":" in self.source_address else socket.AF_INET})
        return frozenset({socket.AF_INET, socket.AF_INET6})

    def addresses(self, servers: Collection[SocketAddress | None], *, are_moved: bool = False) -> AddressScheme:
        """Make the scheme of source addresses; None for a server without an address yet. Raises ConfigurationError.

        `are_moved`: a command makes the parts of the prefixes local later, as shards of a cluster are taken.
        """
        return build(
            self.scheme,
            servers,
            prefixes=self.prefixes,
            port=self.port,
            ports=self.port_range(),
            source_address=self.source_address,
            receive_buffer=self.receive_buffer,
            are_moved=are_moved,
        )
