"""Converts messages with types and message IDs to messages over a stream, which has neither, and back.

CoAP over a connection has no retransmissions and no acknowledgements. So a message that must be acknowledged
is followed by a Ping: the Pong proves that the server has read everything before it (RFC 8323 §5.4), and becomes
acknowledgements for the bridge. If the bridge repeats a message meanwhile, it is not sent again on the same connection.
Messages without a Pong when the connection ends are sent again on the next one.

No I/O: after every call `outgoing` has the bytes to write, and `arrived` the messages for the bridge.
"""

from bridge.coap import stream, udp
from bridge.coap.message import ACK, CON, NON, RST, decode_body, encode_body
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.coap.stream import CUSTODY, Frame, Reader, Signal
from bridge.errors import MessageFormatError

REMEMBERED = 1024  # messages of a connection that are remembered until a Pong, or until their answer, at most
_MIDS_PER_SECOND = 265  # message IDs wrap around once in 247 s (EXCHANGE_LIFETIME): none is used twice within that time


class EndedByServer(MessageFormatError):
    """The server ended the connection by a message; `hold_off` seconds should pass before the next connection."""

    def __init__(self, text: str, hold_off: float = 0.0) -> None:
        super().__init__(text)
        self.hold_off = hold_off


class Acknowledging:
    """One connection's messages. `ready`: the server's CSM has come, and messages may be sent."""

    def __init__(self, wall: float) -> None:
        """`wall`: seconds of the wall clock, from which the message IDs of the server's requests begin."""
        self.ready = False
        self.released: float | None = (
            None  # the server asked to end the connection; seconds in which it wants no further one
        )
        self.pinged = False  # a Ping is not answered yet
        self.too_large = 0  # messages that the server does not accept
        self.arrived: list[bytes] = []  # messages for the bridge, framed as over UDP
        self._out = bytearray(stream.csm())
        self._reader = Reader()
        self._largest = stream.BASE_MAX_MESSAGE_SIZE
        self._mids = udp.MessageIds(int(wall * _MIDS_PER_SECOND) & 0xFFFF)
        self._unread: dict[int, bool] = {}  # the bridge's message ID → whether the outstanding Ping follows it
        self._asked: dict[bytes, int] = {}  # token of the bridge's request → its message ID
        self._requests: dict[int, bytes] = {}  # message ID of a server's request → its token

    def send(self, message: bytes) -> bool:
        """Write one message, framed as over UDP. False: it is too large for this server.

        For an answer that is too large the server gets 5.00: it would wait for ever, for nothing is sent again here.
        """
        mtype, code, mid, token, body = udp.take_apart(message)
        if code == Code.EMPTY:
            return self._empty(mtype, mid)
        if mid in self._unread and mtype is CON:
            return True  # it was sent on this connection already
        if stream.size(token, body) > self._largest:
            self.too_large += 1
            if not _ends_exchange(code, body):
                return False
            code, body = Code.INTERNAL_SERVER_ERROR, encode_body([], _TOO_LARGE)
        self._out += stream.frame(code, token, body)
        if mtype is ACK:
            self._requests.pop(mid, None)
            return True
        if mtype is CON:
            _remember(self._unread, mid, False)
            if code < _FIRST_RESPONSE:
                _remember(self._asked, token, mid)
            if not self.pinged:
                self._send_ping()
        return True

    def receive(self, data: bytes) -> None:
        """Process bytes of the server. Raises MessageFormatError (or Ended) if the connection cannot continue."""
        for message in self._reader.feed(data):
            if not self.ready and message.code not in {Signal.CSM, Signal.ABORT}:
                raise MessageFormatError("its first message is no CSM (RFC 8323 §5.3)")
            if message.is_signal:
                self._signal(message)
            elif message.code != Code.EMPTY:  # an Empty message has no meaning (RFC 8323 §3.3)
                self._message(message)

    def abort(self, why: str) -> None:
        """Write the last message of a connection that cannot continue."""
        self._out += stream.signal(Signal.ABORT, text=why)

    def release(self) -> None:
        """Write a Release: the bridge ends the connection."""
        self._out += stream.signal(Signal.RELEASE)

    def outgoing(self) -> bytes:
        """Return the bytes to write now."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def _empty(self, mtype: int, mid: int) -> bool:
        """Process an Empty acknowledgement, which a stream does not need, or a Reset, which it does not have."""
        token = self._requests.pop(mid, None) if mtype is RST else None
        if token is not None:  # a request that got a Reset has failed at the device
            self._out += stream.frame(Code.BAD_GATEWAY, token, b"")
        return True

    def _message(self, message: Frame) -> None:
        if message.code < _FIRST_RESPONSE:
            mid = self._mids.allocate(self._requests)
            _remember(self._requests, mid, message.token)
            self.arrived.append(udp.frame(CON, message.code, mid, message.token, message.body))
            return
        mid = self._asked.pop(message.token, -1)
        if mid in self._unread:
            del self._unread[mid]
            self.arrived.append(udp.frame(ACK, message.code, mid, message.token, message.body))
        else:
            mid = self._mids.allocate(self._requests)
            self.arrived.append(udp.frame(NON, message.code, mid, message.token, message.body))

    def _signal(self, message: Frame) -> None:
        options, text = stream.options_of(message)
        if message.code == Signal.CSM:
            self._settings(options)
        elif message.code == Signal.PING:
            custody = [option for option in options if option[0] == CUSTODY]
            self._out += stream.signal(Signal.PONG, custody, token=message.token)
        elif message.code == Signal.PONG:
            self._pong()
        elif message.code == Signal.RELEASE:
            hold_off = next((value for number, value in options if number == stream.HOLD_OFF), b"")
            self.released = float(int.from_bytes(hold_off[:4], "big"))
        elif message.code == Signal.ABORT:
            raise EndedByServer(f"the server aborted the connection{f': {text[:200]}' if text else ''}")
        # Other signaling messages are ignored (RFC 8323 §5.1).

    def _settings(self, options: tuple[tuple[int, bytes], ...]) -> None:
        for number, value in options:
            if number == stream.CsmOption.MAX_MESSAGE_SIZE and len(value) <= 4:  # noqa: PLR2004  # bytes of its uint
                self._largest = int.from_bytes(value, "big")
            elif number & 1:  # critical (RFC 8323 §5.3)
                bad = [(stream.BAD_CSM_OPTION, number.to_bytes(2, "big"))]
                self._out += stream.signal(Signal.ABORT, bad)
                raise MessageFormatError(f"its CSM has the critical option {number}, which the bridge does not know")
        self.ready = True

    def _send_ping(self) -> None:
        self._unread = dict.fromkeys(self._unread, True)
        self.pinged = True
        # Without a token: at most one is outstanding, and some servers' Pong has none (libcoap 4.3).
        self._out += stream.signal(Signal.PING, [(CUSTODY, b"")])

    def _pong(self) -> None:
        if not self.pinged:
            return
        self.pinged = False
        for mid in [mid for mid, followed in self._unread.items() if followed]:
            del self._unread[mid]
            self.arrived.append(udp.empty(ACK, mid))
        if self._unread:
            self._send_ping()


_FIRST_RESPONSE = 64
_TOO_LARGE = b"the answer is larger than the Max-Message-Size of this connection"


def _ends_exchange(code: int, body: bytes) -> bool:
    """Return whether a message ends an exchange: a notification does not, for the next one may fit."""
    if code < _FIRST_RESPONSE:
        return False
    options, _ = decode_body(body)
    return all(number != Opt.OBSERVE for number, _ in options)


def _remember(table: dict, key: object, value: object) -> None:  # type: ignore[type-arg]
    """Add an entry to a table; the oldest is dropped when it is full."""
    if len(table) >= REMEMBERED:
        del table[next(iter(table))]
    table[key] = value
