"""What the ledger keeps of a request that came by the API, beside its row: who asked, and under which keys."""

from typing import ClassVar

from bridge.delivery.rows import Fixed, Row

_TOKEN = 8  # bytes


def token_of(downlink: int) -> bytes:
    """Return the north token of all messages of the exchange that begins with a downlink."""
    return downlink.to_bytes(_TOKEN, "big")


class DirectNote(Row):
    """A note of one request that came by the API; `id` is that of its downlink, whose row has the shard."""

    TABLE: ClassVar[str] = "direct"

    id: int
    endpoint: Fixed[int]
    at: Fixed[float]  # wall-clock seconds
    who: Fixed[str]  # as the audit log names the caller
    idempotency_key: Fixed[str | None]  # of this endpoint: the same one again is the same request
    digest: Fixed[bytes]  # of the request, to know another one under the same key
    supersede_key: Fixed[str | None]  # of this endpoint: a newer request with it takes the place of a waiting one

    @property
    def north_token(self) -> bytes:
        """Return the north token of all messages of its exchange."""
        return token_of(self.id)
