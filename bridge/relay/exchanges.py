"""Servers' requests, remembered to recognise retransmissions: none of these may reach the radio (R4, R30)."""

from bridge.coap.transmission import EXCHANGE_LIFETIME
from bridge.delivery.downlinks import ServerRequest
from bridge.delivery.kept import KeptRows
from bridge.delivery.states import DownlinkState
from bridge.delivery.uplinks import Response, Verdict
from bridge.enums import members

REFUSED = 32  # refusals that are remembered, for retransmissions of their requests
FADED = 1 << 20  # bytes for answered requests that are remembered by their IDs alone: about 4 000, 16 a second
_ENTRY = 160  # bytes of one of them in memory, without its token and the answer that its server got

_S = members(DownlinkState)

Key = tuple[str, int, bytes]
"""Server, its message ID and token."""


class Exchanges:
    """The requests of one endpoint's servers: unfinished, finished and kept, and refused ones.

    If more than `most` came within EXCHANGE_LIFETIME, answered requests that may be repeated are dropped, the oldest
    first (RFC 7252 §4.5). Of these only IDs and the short acknowledgement are remembered, in FADED bytes; what finds
    no room there is not dropped, and `free_in` says when a further request can be accepted.
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
        if len(self.requests) < self.most:
            return None
        answered = next(filter(self._makes_room, self._kept.values()), None)
        if answered is not None and self._size_of(answered) <= self._room(now):
            return None
        began = [row.accepted_at for row in self.requests.values() if now - row.accepted_at < EXCHANGE_LIFETIME]
        if len(began) < self.most:
            return None
        if answered is not None and self.faded:
            began.append(next(iter(self.faded.values()))[0])
        return min(began) + EXCHANGE_LIFETIME - now

    def forget(self, now: float) -> list[ServerRequest]:
        """Forget requests that are no longer needed, and beyond the bound those that may be dropped; return them.

        Answered ones are dropped first, beginning with those too old for a retransmission: an answer to the others may
        still come, and their tokens are still in use (R1).
        """
        kept = self._kept
        rows = kept.forget(now)
        if len(kept) > self.most:
            before = now - EXCHANGE_LIFETIME

            def may_go(row: ServerRequest) -> bool:
                return row.accepted_at <= before or not self._is_found(row)

            rows += kept.make_room(self.most, lambda row: row.state is _S.RESPONDED and may_go(row))
            rows += self._fade(len(kept) - self.most, now)
            rows += kept.make_room(self.most, may_go)
        self._drop(rows)
        if len(self.requests) > self.most:  # unfinished requests count, too
            faded = self._fade(len(self.requests) - self.most, now)
            self._drop(faded)
            rows += faded
        return rows

    def _makes_room(self, row: ServerRequest) -> bool:
        """Return whether dropping a row makes room for another exchange: an earlier part of a block does not."""
        return may_fade(row) and self._is_found(row)

    def _is_found(self, row: ServerRequest) -> bool:
        """Return whether a retransmission finds this row: of a split block it finds the last part alone."""
        return self.requests.get(_key(row)) is row

    def _drop(self, rows: list[ServerRequest]) -> None:
        for row in rows:
            if self._is_found(row):
                del self.requests[_key(row)]
            self.replies.pop(row.id, None)

    def _fade(self, count: int, now: float) -> list[ServerRequest]:
        """Drop at most `count` answered rows that may be repeated, and of which the IDs find room; return them."""
        room = self._room(now)

        def may_go(row: ServerRequest) -> bool:
            nonlocal room
            if not may_fade(row):
                return False
            if self._is_found(row):
                size = self._size_of(row)
                if size > room:
                    return False
                room -= size
            return True

        rows = self._kept.make_room(len(self._kept) - count, may_go)
        for row in rows:
            if self._is_found(row):
                self._remember(row)
        return rows

    def _remember(self, row: ServerRequest) -> None:
        key = _key(row)
        if key in self.faded:
            self._forget_faded(key)
        self.faded[key] = row.accepted_at, self.replies.get(row.id, b"")
        self._faded_bytes += self._size_of(row)

    def _room(self, now: float) -> int:
        """Return the bytes that are left for IDs, without those of which no retransmission can come any more."""
        while self.faded:
            key = next(iter(self.faded))
            if now - self.faded[key][0] < EXCHANGE_LIFETIME:
                break  # the others were accepted later
            self._forget_faded(key)
        return FADED - self._faded_bytes

    def _forget_faded(self, key: Key) -> None:
        _, reply = self.faded.pop(key)
        self._faded_bytes -= _size(key, reply)

    def _size_of(self, row: ServerRequest) -> int:
        return _size(_key(row), self.replies.get(row.id, b""))


def may_fade(row: ServerRequest) -> bool:
    """Return whether executing a request again would change nothing, and its answer is on its way."""
    return row.state is _S.RESPONDED and row.repeatable


def _size(key: Key, reply: bytes) -> int:
    return _ENTRY + len(key[2]) + len(reply)


def _key(row: ServerRequest) -> Key:
    return row.server, row.north_mid, row.north_token
