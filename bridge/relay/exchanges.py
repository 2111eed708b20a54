"""Servers' requests, remembered to recognise retransmissions: none of these may reach the radio (R4, R30)."""

from bridge.coap.transmission import EXCHANGE_LIFETIME
from bridge.delivery.downlinks import ServerRequest
from bridge.delivery.kept import KeptRows
from bridge.delivery.states import DownlinkState
from bridge.delivery.uplinks import Response, Verdict
from bridge.enums import members

REFUSED = 32  # refusals that are remembered, for retransmissions of their requests
FADED = 64 << 10  # bytes for answered requests that are remembered by their IDs alone
_ENTRY = 160  # bytes of one of them in memory, without its token and the answer that its server got

_S = members(DownlinkState)

Key = tuple[str, int, bytes]
"""Server, its message ID and token."""


class Exchanges:
    """The requests of one endpoint's servers: unfinished, finished and kept, and refused ones.

    If more than `most` came within EXCHANGE_LIFETIME, answered requests that may be repeated are dropped, the oldest
    first (RFC 7252 §4.5). Of these only IDs and the short acknowledgement are remembered, up to FADED bytes.
    """

    __slots__ = ("_faded_bytes", "_kept", "faded", "most", "refused", "replies", "requests")

    def __init__(self, kept: KeptRows[ServerRequest], most: int) -> None:
        """`most`: exchanges that are remembered; `kept`: the finished ones among them."""
        self._kept = kept
        self.most = most
        self.requests: dict[Key, ServerRequest] = {}  # accepted, as `EndpointState.index_request` notes them
        # Downlink → the ACK with an answer, or the Reset, that its server was given.
        self.replies: dict[int, bytes] = {}
        self.refused: dict[Key, tuple[float, bytes]] = {}  # → when, and the answer that its server got
        self.faded: dict[Key, tuple[float, bytes]] = {}  # → when it was accepted, and the ACK that its server got
        self._faded_bytes = 0

    def find(self, key: Key, now: float) -> ServerRequest | None:
        """Return the request of which a datagram with these IDs is a retransmission."""
        row = self.requests.get(key)
        return row if row is not None and now - row.accepted_at < EXCHANGE_LIFETIME else None

    def replied(self, row: Response | Verdict, datagram: bytes) -> None:
        """Record what a server got in or instead of an acknowledgement: a retransmission gets it again."""
        self.replies[row.downlink] = datagram

    def refuse(self, key: Key, now: float, told: bytes) -> None:
        """Remember how a request was refused: a retransmission of it must not be accepted later."""
        self.refused.pop(key, None)
        self.refused[key] = now, told
        if len(self.refused) > REFUSED:
            del self.refused[next(iter(self.refused))]

    def refusal(self, key: Key, now: float) -> bytes | None:
        """Return the answer to a request that was refused, or None if it was not."""
        at, told = self.refused.get(key, (0.0, None))
        return told if now - at < EXCHANGE_LIFETIME else None

    def is_refusing(self, now: float) -> bool:
        """Return whether a retransmission of a refused request may still come: only memory knows of it, no row."""
        return bool(self.refused) and now - next(reversed(self.refused.values()))[0] < EXCHANGE_LIFETIME

    def answered_before(self, key: Key, now: float) -> bytes | None:
        """Return the ACK to a request of which only the IDs are remembered; None: there is none."""
        at, reply = self.faded.get(key, (0.0, None))
        return reply if now - at < EXCHANGE_LIFETIME else None

    def free_in(self, now: float) -> float | None:
        """Return the seconds until one more request can be remembered; None: now."""
        if len(self.requests) < self.most or any(map(self._makes_room, self._kept.values())):
            return None
        rows = self.requests.values()
        began = [row.accepted_at for row in rows if now - row.accepted_at < EXCHANGE_LIFETIME]
        return min(began) + EXCHANGE_LIFETIME - now if len(began) >= self.most else None

    def forget(self, now: float) -> list[ServerRequest]:
        """Forget requests that are no longer needed, and beyond the bound those that may be dropped; return them.

        Answered ones are dropped first, beginning with those too old for a retransmission: an answer to the others may
        still come, and their tokens are still in use (R1).
        """
        kept = self._kept
        rows = kept.forget(now)
        if len(kept) > self.most:
            before = now - EXCHANGE_LIFETIME

            # The parts of a split block are one exchange, found by the last part.
            def may_go(row: ServerRequest) -> bool:
                return row.accepted_at <= before or self.requests.get(_key(row)) is not row

            rows += kept.make_room(self.most, lambda row: row.state is _S.RESPONDED and may_go(row))
            rows += self._fade(len(kept) - self.most)
            rows += kept.make_room(self.most, may_go)
        self._drop(rows)
        if len(self.requests) > self.most:  # unfinished requests count, too
            faded = self._fade(len(self.requests) - self.most)
            self._drop(faded)
            rows += faded
        return rows

    def _makes_room(self, row: ServerRequest) -> bool:
        """Return whether dropping a row makes room for another exchange: an earlier part of a block does not."""
        return may_fade(row) and self.requests.get(_key(row)) is row

    def _drop(self, rows: list[ServerRequest]) -> None:
        for row in rows:
            if self.requests.get(_key(row)) is row:
                del self.requests[_key(row)]
            self.replies.pop(row.id, None)

    def _fade(self, count: int) -> list[ServerRequest]:
        """Drop at most `count` answered rows that may be repeated; return them. Up to FADED bytes of IDs are kept."""
        rows = self._kept.make_room(len(self._kept) - count, may_fade)
        for row in rows:
            if self.requests.get(_key(row)) is row:  # else it is an earlier part of a block
                self._remember(row)
        return rows

    def _remember(self, row: ServerRequest) -> None:
        key, reply = _key(row), self.replies.get(row.id, b"")
        if key in self.faded:
            self._forget_faded(key)
        self.faded[key] = row.accepted_at, reply
        self._faded_bytes += _size(key, reply)
        while self._faded_bytes > FADED:
            self._forget_faded(next(iter(self.faded)))

    def _forget_faded(self, key: Key) -> None:
        _, reply = self.faded.pop(key)
        self._faded_bytes -= _size(key, reply)


def may_fade(row: ServerRequest) -> bool:
    """Return whether executing a request again would change nothing, and its answer is on its way."""
    return row.state is _S.RESPONDED and row.repeatable


def _size(key: Key, reply: bytes) -> int:
    return _ENTRY + len(key[2]) + len(reply)


def _key(row: ServerRequest) -> Key:
    return row.server, row.north_mid, row.north_token
