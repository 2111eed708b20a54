"""aiocoap on one plain UDP socket, with every message in sight.

aiocoap's own UDP transport fits neither emulator: it hides Empty ACKs, and an ICMP error or one unanswered message
ends all exchanges with that peer, observations too. An LwM2M endpoint must survive a peer that is down for
an hour. So this module is a transport for aiocoap (its MessageInterface), and `layers` changes two layers.
"""

import asyncio
import contextlib
import ipaddress
import logging
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from aiocoap import interfaces
from aiocoap.message import Message
from aiocoap.messagemanager import MessageManager
from aiocoap.numbers.constants import TransportTuning

from mock_network.lwm2m.dtls import FIRST, LAST, DtlsSessions

_log = logging.getLogger(__name__)

Address = tuple[str, int]
"""Numeric IP address and UDP port."""

_MAX_DATAGRAM = 65535
_READS_PER_WAKE_UP = 64  # so that a flood leaves time for everything else on the loop
_RECEIVE_BUFFER = 1 << 20  # bytes; several hundred devices may answer at once
_REMEMBERED_NOTIFICATIONS = 1000
_IN_PKTINFO = struct.Struct("i4s4s")  # ip(7): interface index, local address, header destination
_IN6_PKTINFO = struct.Struct("16sI")  # RFC 3542 §6.1
# Values of the Linux headers, where the socket module does not name them.
_IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)


@dataclass(frozen=True, slots=True)
class Datagram:
    """One CoAP message that was sent or received, as it was on the wire. `time` is seconds of the loop's clock."""

    time: float
    outgoing: bool
    peer: Address
    type: str
    code: str
    mid: int
    token: bytes
    observe: int | None
    payload: bytes
    size: int

    @property
    def empty(self) -> bool:
        """Return an Empty message: a bare ACK or RST, or a ping (RFC 7252 §4.1)."""
        return self.code == "0.00"


Tap = Callable[[Datagram], None]


class Peer(interfaces.EndpointAddress):  # type: ignore[misc]  # aiocoap has no types
    """The other side of a message, and the local address it was, or is to be, exchanged with."""

    scheme = "coap"
    is_multicast = False
    is_multicast_locally = False
    maximum_payload_size = 1024  # bytes; block-wise is done above (`blockwise`)

    def __init__(self, address: Address, local: bytes | None = None) -> None:
        self.address = address
        self.local = local
        """Packed local IP address, None to let the system choose."""

    def __hash__(self) -> int:
        return hash(self.address)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Peer) and self.address == other.address

    def __repr__(self) -> str:
        return f"<Peer {self.hostinfo}>"

    @property
    def hostinfo(self) -> str:
        host, port = self.address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def hostinfo_local(self) -> str:
        return str(ipaddress.ip_address(self.local)) if self.local else ""

    @property
    def uri_base(self) -> str:
        return f"coap://{self.hostinfo}"

    @property
    def uri_base_local(self) -> str:
        return f"coap://{self.hostinfo_local}"

    @property
    def blockwise_key(self) -> Address:
        return self.address


class UdpTransport(interfaces.MessageInterface):  # type: ignore[misc]  # aiocoap has no types
    """One bound UDP socket. Answers leave from the address that was addressed, also when bound to all addresses.

    While `muted`, nothing is received and nothing is sent, as with a radio that is off. While `asleep`, nothing is
    received; what is sent ends it. `intercept` sees each message that arrived, and keeps it from going further by True.
    """

    def __init__(self, messages: MessageManager, bound: socket.socket, tap: Tap, tuning: TransportTuning) -> None:
        self.muted = False
        self.asleep = False
        self.intercept: Callable[[Message], bool] = lambda _message: False
        self.sessions: DtlsSessions | None = None
        """What messages go through, as far as it secures a peer."""
        self.unparsable = 0
        """Count of datagrams that are no CoAP message."""
        self._messages = messages
        self._socket = bound
        self._tap = tap
        self._tuning = tuning
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._wildcard = ipaddress.ip_address(bound.getsockname()[0]).is_unspecified
        self._loop.add_reader(bound, self._readable)

    @property
    def address(self) -> Address:
        """Return what the socket is bound to."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    def _readable(self) -> None:
        for _ in range(_READS_PER_WAKE_UP):
            if self._closed:  # by what the last datagram caused
                return
            try:
                data, ancillary, _, sender = self._socket.recvmsg(_MAX_DATAGRAM, 128)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                # An ICMP error of an earlier datagram. Retransmission handles peers that are down.
                continue
            if not self.muted and not self.asleep:
                self._arrived(data, ancillary, (sender[0], sender[1]))

    def _arrived(self, data: bytes, ancillary: list[tuple[int, int, bytes]], sender: Address) -> None:
        """Take a datagram: records go to their session, and a peer that has one is not believed without it."""
        if self.sessions is not None and data and FIRST <= data[0] <= LAST:
            self.sessions.receive(data, sender)
        elif self.sessions is None or not self.sessions.secures(sender):
            self.received(data, sender, _local_address(ancillary))

    def send_record(self, record: bytes, peer: Address) -> None:
        """Send a datagram of a session as it is."""
        if not self._closed:
            with contextlib.suppress(OSError):  # as if lost on the way
                self._socket.sendto(record, peer)

    def received(self, data: bytes, sender: Address, local: bytes | None = None) -> None:
        """Take a message that arrived in plain text, or in a session."""
        try:
            message = Message.decode(data, Peer(sender, local))
        except Exception as problem:  # noqa: BLE001 aiocoap lets what malformed options cause through, of any kind
            self.unparsable += 1
            _log.warning("%d bytes from %s are no CoAP message: %s", len(data), sender, problem)
            return
        message.transport_tuning = self._tuning
        self._tap(self._describe(message, len(data), outgoing=False))
        if not self.intercept(message):
            self._messages.dispatch_message(message)

    def _describe(self, message: Message, size: int, *, outgoing: bool) -> Datagram:
        return Datagram(
            time=self._loop.time(),
            outgoing=outgoing,
            peer=message.remote.address,
            type=message.mtype.name,
            code=message.code.dotted,
            mid=message.mid,
            token=message.token,
            observe=message.opt.observe,
            payload=message.payload,
            size=size,
        )

    # What aiocoap asks of a MessageInterface.

    def send(self, message: Message) -> None:
        if self._closed or self.muted:
            return
        self.asleep = False
        data = message.encode()
        if self.sessions is not None and self.sessions.secures(message.remote.address):
            self.sessions.send(data, message.remote.address)
            self._tap(self._describe(message, len(data), outgoing=True))
            return
        ancillary = []
        local = message.remote.local
        if self._wildcard and local is not None:
            if len(local) == 4:  # noqa: PLR2004 bytes of an IPv4 address
                ancillary.append((socket.IPPROTO_IP, _IP_PKTINFO, _IN_PKTINFO.pack(0, local, bytes(4))))
            else:
                ancillary.append((socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _IN6_PKTINFO.pack(local, 0)))
        try:
            self._socket.sendmsg([data], ancillary, 0, message.remote.address)
        except OSError as problem:
            # As if lost on the way: CON messages are sent again.
            _log.info("not sent to %s: %s", message.remote.address, problem)
            return
        self._tap(self._describe(message, len(data), outgoing=True))

    def announce(self, address: Address) -> None:
        """Send an empty datagram, by which a modem's port learns where its application is."""
        with contextlib.suppress(OSError):
            self._socket.sendto(b"", address)

    async def shutdown(self) -> None:
        self.close()

    def close(self) -> None:
        """Stop immediately; sending afterwards does nothing."""
        if not self._closed:
            self._closed = True
            if self.sessions is not None:
                self.sessions.close()
            self._loop.remove_reader(self._socket)
            self._socket.close()

    async def recognize_remote(self, remote: object) -> bool:
        return isinstance(remote, Peer)

    async def determine_remote(self, message: Message) -> None:  # noqa: ARG002 requests carry their Peer already
        return None


def _local_address(ancillary: list[tuple[int, int, bytes]]) -> bytes | None:
    """Return the address a datagram was sent to, from its packet information."""
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            return cast(bytes, _IN_PKTINFO.unpack_from(data)[1])
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            return cast(bytes, _IN6_PKTINFO.unpack_from(data)[0])
    return None


def bind(address: Address) -> socket.socket:
    """Return a socket for UdpTransport; port 0 lets the system choose. Raises OSError if the address cannot be used."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_DGRAM)
    try:
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            bound.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise OSError(error.errno, f"{error.strerror}: UDP port {address[1]} of {address[0]}") from error
    return bound
