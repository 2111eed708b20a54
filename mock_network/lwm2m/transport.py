"""aiocoap on one plain UDP socket, with every message in sight.

aiocoap's own UDP transport fits neither emulator: it hides Empty ACKs, and an ICMP error or one unanswered message
ends everything that is under way with that peer, observations too. A LwM2M endpoint must outlive a peer that is
away for an hour. So this module gives aiocoap a transport (its MessageInterface) and narrows two of its layers:
a message that is given up fails alone (RFC 7252 §4.2), and a request that nobody waits for is no longer sent.
"""

import asyncio
import functools
import ipaddress
import logging
import random
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from aiocoap import error, interfaces
from aiocoap.message import Message
from aiocoap.messagemanager import MessageManager
from aiocoap.numbers.codes import Code
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.types import Type
from aiocoap.tokenmanager import TokenManager

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
        """An Empty message: a bare ACK or RST, or a ping (RFC 7252 §4.1)."""
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

    While `muted`, nothing is received and nothing is sent, as with a radio that is off.
    """

    def __init__(self, messages: MessageManager, bound: socket.socket, tap: Tap, tuning: TransportTuning) -> None:
        self.muted = False
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
        """What the socket is bound to."""
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
                # An ICMP error of an earlier datagram. Retransmission deals with peers that are away.
                continue
            if not self.muted:
                self._received(data, ancillary, (sender[0], sender[1]))

    def _received(self, data: bytes, ancillary: list[tuple[int, int, bytes]], sender: Address) -> None:
        try:
            message = Message.decode(data, Peer(sender, _local_address(ancillary)))
        except Exception as problem:  # noqa: BLE001 aiocoap lets what malformed options cause through, of any kind
            self.unparsable += 1
            _log.warning("%d bytes from %s are no CoAP message: %s", len(data), sender, problem)
            return
        message.transport_tuning = self._tuning
        self._tap(self._describe(message, len(data), outgoing=False))
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
        data = message.encode()
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

    async def shutdown(self) -> None:
        self.close()

    def close(self) -> None:
        """Stop at once; sending afterwards does nothing."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._socket)
            self._socket.close()

    async def recognize_remote(self, remote: object) -> bool:
        return isinstance(remote, Peer)

    async def determine_remote(self, message: Message) -> None:  # noqa: ARG002 requests carry their Peer already
        return None


def _local_address(ancillary: list[tuple[int, int, bytes]]) -> bytes | None:
    """The address a datagram was sent to, from its packet information."""
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            return cast(bytes, _IN_PKTINFO.unpack_from(data)[1])
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            return cast(bytes, _IN6_PKTINFO.unpack_from(data)[0])
    return None


def bind(address: Address) -> socket.socket:
    """A socket for UdpTransport; port 0 lets the system choose. OSError if the address cannot be had."""
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
    except OSError:
        bound.close()
        raise
    return bound


class Messages(MessageManager):  # type: ignore[misc]  # aiocoap has no types
    """aiocoap's message layer, where one message that is given up ends nothing but itself."""

    def __init__(self, tokens: TokenManager, *, nstart_unlimited: bool, given_up: Callable[[Any], None]) -> None:
        super().__init__(tokens)
        self._nstart_unlimited = nstart_unlimited
        self._given_up = given_up
        self._notified: dict[tuple[Peer, int], Callable[[], None]] = {}
        """What ends the observation, for each of the last NON notifications."""

    def dispatch_message(self, message: Message) -> None:
        """A repeated response is answered as the first time and not delivered again (RFC 7252 §4.2, §4.5)."""
        if message.mtype is Type.RST:
            # aiocoap minds only RST to CON; RFC 7641 §3.6 has it end an observation for NON as well.
            forgotten = self._notified.pop((message.remote, message.mid), None)
            if forgotten is not None:
                forgotten()
        once = message.code.is_response() and message.mtype in {Type.CON, Type.NON}
        if not (once and self._deduplicate_message(message)):
            super().dispatch_message(message)

    def send_message(self, message: Message, messageerror_monitor: Callable[[], None]) -> Callable[[], None] | None:
        super().send_message(message, messageerror_monitor)
        if message.mtype is Type.CON and message.code.is_request():
            return functools.partial(self._stop_sending, message)
        return None

    def _send_initially(self, message: Message, messageerror_monitor: Callable[[], None] | None = None) -> None:
        if message.mtype is Type.NON and message.opt.observe is not None and messageerror_monitor is not None:
            while len(self._notified) >= _REMEMBERED_NOTIFICATIONS:
                del self._notified[next(iter(self._notified))]
            self._notified[message.remote, message.mid] = messageerror_monitor
        super()._send_initially(message, messageerror_monitor)

    def _process_response(self, response: Message) -> bool:
        expected = cast(bool, super()._process_response(response))
        if not expected and response.mtype is Type.NON and response.opt.observe is not None:
            # RFC 7641 §3.6 lets a forgotten observation be rejected; without it, NON would go on for ever.
            reset = Message(code=Code.EMPTY)
            reset.mtype, reset.mid, reset.remote = Type.RST, response.mid, response.remote
            self._send_initially(reset)
        return expected

    def _stop_sending(self, message: Message) -> None:
        """A response came without its ACK, or nobody waits any more: no retransmission is due (RFC 7252 §5.2.2)."""
        if self._active_exchanges is None:  # shut down
            return
        exchange = self._active_exchanges.pop((message.remote, message.mid), None)
        if exchange is not None:
            exchange[1].cancel()
            self._continue_backlog(message.remote)
            return
        backlog = self._backlogs.get(message.remote, [])
        backlog[:] = [entry for entry in backlog if entry[0] is not message]

    def _add_exchange(self, message: Message, messageerror_monitor: Callable[[], None]) -> None:
        super()._add_exchange(message, messageerror_monitor)
        if self._nstart_unlimited:
            # With no backlog there, the next CON goes out at once.
            self._backlogs.pop(message.remote, None)

    def _continue_backlog(self, remote: Peer) -> None:
        if not self._nstart_unlimited:
            super()._continue_backlog(remote)

    def _retransmit(self, message: Message, timeout: float, retransmission_counter: int) -> None:
        if retransmission_counter < message.transport_tuning.MAX_RETRANSMIT:
            super()._retransmit(message, timeout, retransmission_counter)
            return
        monitor, handle = self._active_exchanges.pop((message.remote, message.mid))
        handle.cancel()
        self._given_up(message)
        pipe = self.token_manager.outgoing_requests.get((message.token, message.remote))
        if message.code.is_request() and pipe is not None:
            pipe.add_exception(error.ConRetransmitsExceeded("no acknowledgement"))
        else:
            # RFC 7641 §4.5: a notification that cannot be delivered ends its observation.
            monitor()
        self._continue_backlog(message.remote)


class Tokens(TokenManager):  # type: ignore[misc]  # aiocoap has no types
    """aiocoap's token layer with tokens of a chosen length, and one that can be used again."""

    def __init__(self, context: Any, *, token_length: int, rng: random.Random, late: Callable[[Message], None]) -> None:
        super().__init__(context)
        self._token_length = token_length
        self._rng = rng
        self._late = late
        self._again: bytes | None = None

    def request_with(self, pipe: Any, token: bytes | None) -> None:
        """Send the pipe's request; `token` is used again where RFC 7641 §3.6 asks for it, None takes a new one."""
        self._again = token
        self.request(pipe)

    def next_token(self) -> bytes:
        if self._again is not None:
            token, self._again = self._again, None
            return token
        while True:
            token = self._rng.randbytes(self._token_length)
            if all(used != token for used, _ in self.outgoing_requests):
                return token

    def process_response(self, response: Message) -> bool:
        pipe = self.outgoing_requests.get((response.token, response.remote))
        if pipe is not None and pipe.request.opt.observe == 1 and response.opt.observe is not None:
            # A notification that was on its way while the observation is being cancelled is not the answer.
            self._late(response)
            return True
        return cast(bool, super().process_response(response))


def is_success(code: Code) -> bool:
    """Whether this is a 2.xx response code."""
    return cast(bool, code.is_successful())
