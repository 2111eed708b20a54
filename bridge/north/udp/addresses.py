"""The contract of both schemes of source addresses: each endpoint has its own socket address; and datagrams."""

from collections.abc import Callable, Sequence
from typing import Protocol

from bridge.north.contract import Counters, Sending

SocketAddress = tuple[str, int] | tuple[str, int, int, int]
"""A numeric address of the socket module: (host, port) for IPv4, (host, port, flow, scope) for IPv6."""

DatagramReceiver = Callable[[int, SocketAddress, bytes], None]
"""Called for every datagram with (source, remote, data). Exceptions are logged and counted."""


class Division(Protocol):
    """Which sources belong to which shard: a part of each prefix, so that a shard's addresses can move together."""

    def part(self, shard: int) -> Sequence[range]:
        """Return the sources of a shard."""

    def shard_of(self, source: int) -> int:
        """Return the shard of a source."""


class AddressScheme(Protocol):
    """Assigns each endpoint a source address of its own. `source` is a number that permanently identifies one address.

    The caller stores it with the endpoint, and chooses new ones from `sources`. An endpoint uses the same number
    toward all its servers.
    """

    @property
    def scheme(self) -> str:
        """Return `prefix` or `ports`; sources of the two are unrelated."""

    @property
    def sources(self) -> range:
        """Return the numbers that an endpoint may have."""

    @property
    def division(self) -> Division | None:
        """Return how sources are divided among shards; None: they are not."""

    @property
    def families(self) -> frozenset[int]:
        """Return the address families (socket.AF_INET, socket.AF_INET6) of the servers that can be reached."""

    @property
    def opens_each(self) -> bool:
        """Return whether `open` does anything."""

    def listen(self, receiver: DatagramReceiver) -> None:
        """Begin to receive, on the running event loop. Raises NorthUnavailable, with the cure."""

    def open(self, source: int) -> None:
        """Make an endpoint's own address usable. Raises NorthUnavailable: only this endpoint is down."""

    def is_open(self, source: int) -> bool:
        """Return whether datagrams can be sent from, and received at, an endpoint's own address."""

    def is_free(self, source: int, destination: SocketAddress) -> bool:
        """Return whether the socket toward a destination is there, and no datagram waits for it."""

    def release(self, source: int) -> None:
        """Release what `open` took."""

    def local(self, source: int, family: int) -> tuple[str, int]:
        """Return the (host, port) that servers see. Raises NorthUnavailable if the number stands for none."""

    def send(self, source: int, destination: SocketAddress, data: bytes) -> Sending:
        """Send one datagram from the endpoint's own address. Raises NorthUnavailable if that is not open."""

    def counters(self) -> Counters:
        """Return the current counters."""

    def close(self) -> None:
        """Stop receiving and close all sockets; queued datagrams are lost."""
