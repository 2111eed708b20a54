"""What one sender of datagrams may cause: a rate, and answers of three times its bytes until it has shown its address.

Over plain UDP anybody can write a server's address into a datagram. Until a server has shown that it receives what goes
to its address, it gets at most AMPLIFICATION times the bytes that came from there as answers (RFC 7252 §11.3). A larger
answer waits, and the server gets a CoAP ping (an empty CON, RFC 7252 §4.3) with a random message ID: the Reset to it is
the proof, or an acknowledgement, which some servers send instead. A response to a request of the device is a proof as
well: it repeats the request's token. No I/O.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bridge.coap import udp
from bridge.coap.message import CON
from bridge.lru import Lru

AMPLIFICATION = 3
PEERS = 65_536  # peers that have shown nothing and are remembered: an endpoint and a server's address each
PROVEN = 131_072  # peers that have shown their address; datagrams from forged addresses push none of these out
WAITING = 4096  # peers with answers that wait
WAITING_EACH = 4  # answers of one of them
PATIENCE = 30.0  # seconds after which a waiting answer is of no use
AGAIN = 2.0  # seconds until another ping
GUESSES = 8  # Resets and acknowledgements with other message IDs; then the peer gets no ping for LOCKED seconds
LOCKED = 60.0
LIFETIME = 247.0  # seconds that a server may remember a message ID (EXCHANGE_LIFETIME, RFC 7252 §4.8.2)
RATE = 2000.0  # datagrams in a second
TOKEN = 4  # bytes of a token that nobody guesses; clients choose random ones (RFC 7252 §5.3.1)
_APART = 0x4000  # message IDs between a ping's and the endpoint's own, either way
_REPLY = 0x20  # bit of the first byte: an acknowledgement or a Reset, whose message ID is the other side's
_RESPONSE = b"\x40"  # the first code of responses (RFC 7252 §5.2)
_PROOFS = (0x70, 0x60)  # first bytes of a Reset, and of the acknowledgement that some servers send instead

Key = tuple[int, str, int]  # source; host and port of the server


@dataclass(slots=True)
class _Peer:
    tokens: float
    at: float  # when `tokens` was right
    received: int = 0  # bytes
    sent: int = 0  # bytes of answers
    proven: bool = False
    ping: int | None = None  # message ID of the ping that waits for its Reset
    not_before: float = 0.0  # of the next ping
    guesses: int = 0
    token: bytes = b""  # of the latest request that was sent to it; empty: none that nobody guesses
    mid: int | None = None  # message ID of the latest message that was sent to it and is no reply


@dataclass(slots=True)
class PeerCounters:
    """Counters since the start."""

    limited: int = 0  # datagrams dropped because their sender sent too many
    pings: int = 0  # sent to servers that have not shown their address
    unproven: int = 0  # answers that waited for that, and were dropped


@dataclass(frozen=True, slots=True)
class Arrival:
    """What to do with a datagram. `accepted`: process it. `answers`: send these now."""

    accepted: bool
    answers: tuple[bytes, ...] = ()


_ACCEPTED, _DROPPED = Arrival(accepted=True), Arrival(accepted=False)


@dataclass(slots=True)
class Outgoing:
    """What to do with an answer. `now`: send it. `ping`: send this in its place, if there is one."""

    now: bool
    ping: bytes = b""


_NOW, _LATER = Outgoing(now=True), Outgoing(now=False)


class Peers:
    """`now` returns monotonic seconds, `draw` a random number of 0 to 65535."""

    def __init__(
        self, now: Callable[[], float], draw: Callable[[], int], rate: float = RATE, amplification: int = AMPLIFICATION
    ) -> None:
        """`rate`: datagrams in a second of one peer; twice as many may come at once. For both numbers 0 is no limit."""
        self.counted = PeerCounters()
        self.rate = rate
        self.amplification = amplification
        self._now = now
        self._draw = draw
        self._peers: Lru[Key, _Peer] = Lru(PEERS)
        self._proven: Lru[Key, _Peer] = Lru(PROVEN)
        self._waiting: Lru[Key, list[tuple[float, bytes]]] = Lru(WAITING)
        self._pinged: dict[Key, tuple[int, float]] = {}  # message IDs that a server may remember, and until when

    def received(self, key: Key, data: bytes) -> Arrival:
        """Return what to do with a datagram of a configured server."""
        now = self._now()
        peer = self._of(key, now)
        if self.rate:
            tokens = min(2 * self.rate, peer.tokens + (now - peer.at) * self.rate)
            peer.at = now
            if tokens < 1:
                peer.tokens = tokens
                self.counted.limited += 1
                return _DROPPED
            peer.tokens = tokens - 1
        if peer.proven:
            return _ACCEPTED
        peer.received += len(data)
        if peer.token and is_answer(data) and token_of(data) == peer.token:
            self._proves(key, peer)
            return Arrival(accepted=True, answers=self._answers(key, now))
        if peer.ping is None or len(data) != udp.HEADER or data[0] not in _PROOFS or data[1]:
            return _ACCEPTED
        if _mid(data) == peer.ping:
            self._proves(key, peer)
            return Arrival(accepted=False, answers=self._answers(key, now))
        peer.guesses += 1
        if peer.guesses >= GUESSES:
            peer.guesses, peer.ping, peer.not_before = 0, None, now + LOCKED
        return _ACCEPTED  # it may be a Reset to another message

    def request(self, key: Key, message: bytes) -> None:
        """Record a request that goes to a server: a response with its token shows that the server has got it."""
        peer = self._of(key, self._now())
        if not peer.proven:
            token = token_of(message)
            peer.token = token if len(token) >= TOKEN else b""
            peer.mid = _mid(message)

    def answer(self, key: Key, message: bytes, *, keep: bool = True) -> Outgoing:
        """Return whether an answer may be sent now; else it is kept until the server is proven, if `keep`."""
        now = self._now()
        peer = self._of(key, now)
        if peer.proven or not self.amplification:
            return _NOW
        if not message[0] & _REPLY:
            peer.mid = _mid(message)
        if peer.sent + len(message) <= self.amplification * peer.received:
            peer.sent += len(message)
            return _NOW
        if keep:
            self._keep(key, now, message)
        allowed = not peer.received or peer.sent + udp.HEADER <= self.amplification * peer.received
        if now < peer.not_before or not allowed:  # a server at a new address has sent nothing from there yet
            return _LATER
        peer.ping, peer.not_before, peer.guesses = self._ping_mid(peer), now + AGAIN, 0
        peer.sent += udp.HEADER
        self.counted.pings += 1
        self._remember(key, peer.ping, now)
        return Outgoing(now=False, ping=udp.empty(CON, peer.ping))

    def allows(self, key: Key, message: bytes) -> bool:
        """Return whether `answer` would let an answer go now; nothing changes."""
        peer = self._proven.get(key) or self._peers.get(key)
        if not self.amplification or (peer is not None and peer.proven):
            return True
        return peer is not None and peer.sent + len(message) <= self.amplification * peer.received

    def taken(self, key: Key, message: bytes) -> bool:
        """Return whether a server may take a message for a repeated ping, having seen its message ID in one."""
        if not self._pinged:
            return False
        pinged = self._pinged.get(key)
        if pinged is None or message[0] & _REPLY or _mid(message) != pinged[0]:
            return False
        return self._now() < pinged[1]

    def _ping_mid(self, peer: _Peer) -> int:
        """Return a message ID that nobody guesses and that the endpoint's own, which count up, do not reach soon.

        A message with the ping's ID would have to wait until the server has forgotten the ping, and all after it, too.
        """
        drawn = self._draw()
        return drawn if peer.mid is None else (peer.mid + _APART + drawn % (0x10000 - 2 * _APART)) & 0xFFFF

    def _proves(self, key: Key, peer: _Peer) -> None:
        peer.proven, peer.ping, peer.token = True, None, b""
        self._peers.drop(key)
        self._proven.put(key, peer)

    def _of(self, key: Key, now: float) -> _Peer:
        peer = self._proven.get(key) or self._peers.get(key)
        if peer is None:
            peer = _Peer(2 * self.rate, now)
            self._peers.put(key, peer)
        return peer

    def _keep(self, key: Key, now: float, message: bytes) -> None:
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = []
            self._waiting.put(key, waiting)
        if any(message == one for _, one in waiting):
            return
        if len(waiting) >= WAITING_EACH:
            del waiting[0]
            self.counted.unproven += 1
        waiting.append((now, message))

    def _answers(self, key: Key, now: float) -> tuple[bytes, ...]:
        waiting = self._waiting.get(key) or []
        self._waiting.drop(key)
        fresh = tuple(message for at, message in waiting if now - at < PATIENCE)
        self.counted.unproven += len(waiting) - len(fresh)
        return fresh

    def _remember(self, key: Key, mid: int, now: float) -> None:
        self._pinged.pop(key, None)
        while self._pinged and (len(self._pinged) >= WAITING or next(iter(self._pinged.values()))[1] < now):
            del self._pinged[next(iter(self._pinged))]
        self._pinged[key] = mid, now + LIFETIME


def _mid(message: bytes) -> int:
    return int.from_bytes(message[2:4], "big")


def token_of(message: bytes) -> bytes:
    """Return the token of a CoAP message over UDP; it is shorter than its length says if the message is truncated."""
    return message[udp.HEADER : udp.HEADER + (message[0] & 0x0F)] if message else b""


def is_request(message: bytes) -> bool:
    """Return whether a CoAP message over UDP is a request (RFC 7252 §5.2)."""
    return b"\x00" < message[1:2] < b"\x20"


def is_answer(message: bytes) -> bool:
    """Return whether a CoAP message is a response. No Empty message is longer than the message that caused it."""
    return message[1:2] >= _RESPONSE
