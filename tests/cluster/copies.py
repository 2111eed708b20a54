"""How many copies of one message may be on air: what the ledger knows of its attempts decides (R9, R31)."""

from collections.abc import Sequence

from bridge.delivery.attempts import Attempt
from bridge.delivery.knowledge import Knowledge

IN_DOUBT = 2  # attempts of one message that the network may have accepted without saying so (R9: once more)


def is_allowed(copies: int, attempts: Sequence[Attempt]) -> bool:
    """Return whether a repeatable message may have been on air so often, where CoAP sends nothing again (R8).

    Each copy belongs to an attempt that may have reached the device. After an attempt of which the network says that
    it is gone, the message goes again (R31); after one in doubt only once (R9).
    """
    if copies <= 1:
        return True
    uncertain = [one for one in attempts if not one.is_certain]
    gone = sum(one.known is Knowledge.GONE for one in uncertain)
    return copies <= len(uncertain) <= IN_DOUBT + gone


def described(attempts: Sequence[Attempt]) -> str:
    """Return what is known of each attempt, in one line."""
    return "; ".join(f"{one.number} {one.known.name} since {one.at:.3f} {one.detail!r}" for one in attempts) or "none"
