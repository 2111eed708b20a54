"""What every way to reach servers offers to the service."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

SocketAddress = tuple[str, int] | tuple[str, int, int, int]
"""A numeric address as the socket module has it: (host, port) for IPv4, (host, port, flow, scope) for IPv6."""

Receiver = Callable[[int, SocketAddress, bytes], None]
"""Called for every datagram with (source, remote, data): `source` is the number of the endpoint's own address or port.

It must be quick and do no I/O; what it raises is logged and counted, and the next datagram is read.
"""


@dataclass(slots=True)
class Counters:
    """What a transport has seen since it was made. Datagrams, unless said otherwise."""

    received: int = 0
    received_bytes: int = 0
    sent: int = 0
    sent_bytes: int = 0
    deferred: int = 0  # queued because the socket would have blocked
    send_dropped: int = 0  # the queue was full
    send_failed: int = 0  # the system refused: no route, too large, filtered
    foreign: int = 0  # arrived for an address that is no endpoint's
    receive_failed: int = 0  # errors on the socket, ICMP among them
    receiver_failed: int = 0  # the receiver raised
    receive_overflow: int = 0  # dropped by the kernel, the receive buffer being full


class NorthTransport(Protocol):
    """UDP toward servers. `source` is a number that stands for one endpoint's own address for ever.

    The caller keeps it with the endpoint, durably, and takes a new one from `sources`. An endpoint uses the same number
    toward all its servers. Datagrams leave at once or are queued shortly; none is promised to arrive.
    """

    @property
    def scheme(self) -> str:
        """`prefix` or `ports`; sources of the two have nothing in common."""

    @property
    def sources(self) -> range:
        """Numbers that an endpoint may be given."""

    @property
    def families(self) -> frozenset[int]:
        """Address families (socket.AF_INET, socket.AF_INET6) of the servers that can be reached."""

    def listen(self, receiver: Receiver) -> None:
        """Begin to receive, on the running event loop. Raises NorthUnavailable, with the cure."""

    def open(self, source: int) -> None:
        """Make an endpoint's own address usable. Raises NorthUnavailable: that endpoint, no other, is down."""

    def release(self, source: int) -> None:
        """Give up what `open` took."""

    def local(self, source: int, family: int) -> tuple[str, int]:
        """Give the (host, port) that servers see. Raises NorthUnavailable if the number stands for none."""

    def send(self, source: int, destination: SocketAddress, data: bytes) -> bool:
        """Send one datagram from the endpoint's own address; False if it was dropped here, which is counted."""

    def counters(self) -> Counters:
        """Give the counters as they are now."""

    def close(self) -> None:
        """Stop receiving and close all sockets; what is still queued is lost."""
