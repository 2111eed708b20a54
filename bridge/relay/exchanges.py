"""What servers asked, remembered against their retransmissions: none of them may reach the radio (R4, R30)."""

from bridge.coap.transmission import EXCHANGE_LIFETIME
from bridge.delivery.downlinks import ServerRequest
from bridge.delivery.kept import KeptRows
from bridge.delivery.states import DownlinkState
from bridge.delivery.uplinks import Response, Verdict
from bridge.enums import members

REFUSED = 32  # refusals that are given again to copies of their requests

_S = members(DownlinkState)

Key = tuple[str, int, bytes]
"""Server, its message ID and token."""


class Exchanges:
    """The requests of one endpoint's servers: those under way, those that are over and kept, those refused."""

    __slots__ = ("_kept", "most", "refused", "replies", "requests")

    def __init__(self, kept: KeptRows[ServerRequest], most: int) -> None:
        """`most`: exchanges that are remembered; `kept`: those of them that are over."""
        self._kept = kept
        self.most = most
        self.requests: dict[Key, ServerRequest] = {}  # accepted, as `EndpointState.index_request` notes them
        # Downlink → the ACK with an answer, or the Reset, that its server was given.
        self.replies: dict[int, bytes] = {}
        self.refused: dict[Key, tuple[float, bytes]] = {}  # → when, and what its server was told

    def find(self, key: Key, now: float) -> ServerRequest | None:
        """Return the request that a datagram with these IDs is a retransmission of."""
        row = self.requests.get(key)
        return row if row is not None and now - row.accepted_at < EXCHANGE_LIFETIME else None

    def replied(self, row: Response | Verdict, datagram: bytes) -> None:
        """Note what a server was sent in or instead of an acknowledgement: a retransmission gets it again."""
        self.replies[row.downlink] = datagram

    def refuse(self, key: Key, now: float, told: bytes) -> None:
        """Remember what a server was told instead: a copy of its request must not be accepted after all."""
        self.refused.pop(key, None)
        self.refused[key] = now, told
        if len(self.refused) > REFUSED:
            del self.refused[next(iter(self.refused))]

    def refusal(self, key: Key, now: float) -> bytes | None:
        """Return what a server was told of a request that was refused, or None if it was not."""
        at, told = self.refused.get(key, (0.0, None))
        return told if now - at < EXCHANGE_LIFETIME else None

    def is_refusing(self, now: float) -> bool:
        """Whether a copy of a request that was refused may still come: no row says so, only memory."""
        return bool(self.refused) and now - next(reversed(self.refused.values()))[0] < EXCHANGE_LIFETIME

    def free_in(self, now: float) -> float | None:
        """Return the seconds until one more request can be remembered; None: now."""
        if len(self.requests) < self.most:
            return None
        rows = self.requests.values()
        began = [row.accepted_at for row in rows if now - row.accepted_at < EXCHANGE_LIFETIME]
        return min(began) + EXCHANGE_LIFETIME - now if len(began) >= self.most else None

    def forget(self, now: float) -> list[ServerRequest]:
        """Forget what is needed no more, and beyond the bound what is older than any retransmission; give the rows.

        Of those, answered ones go first: an answer to the others may still come, and their tokens are not free (R1).
        """
        kept = self._kept
        rows = kept.forget(now)
        if len(kept) > self.most:
            before = now - EXCHANGE_LIFETIME

            # The parts of a split block are one exchange: the last one finds it.
            def may_go(row: ServerRequest) -> bool:
                return row.accepted_at <= before or self.requests.get(_key(row)) is not row

            rows += kept.make_room(self.most, lambda row: row.state is _S.RESPONDED and may_go(row))
            rows += kept.make_room(self.most, may_go)
        for row in rows:
            if self.requests.get(_key(row)) is row:
                del self.requests[_key(row)]
            self.replies.pop(row.id, None)
        return rows


def _key(row: ServerRequest) -> Key:
    return row.server, row.north_mid, row.north_token
