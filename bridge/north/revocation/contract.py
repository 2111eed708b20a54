"""What links need to know of the check of a server's certificate."""

from asyncio import Future
from dataclasses import dataclass
from typing import Protocol

from cryptography import x509


@dataclass(slots=True)
class Checked:
    """Counters of checks of servers' certificates."""

    good: int = 0
    refused: int = 0  # a responder says that it is revoked, or that it does not know it
    unproven: int = 0  # no usable answer
    asked: int = 0  # requests to responders


class Revocation(Protocol):
    """Checks the certificates of one server."""

    @property
    def checked(self) -> Checked:
        """Return the counters, which checks of several servers may share."""

    def refusal(self, chain: tuple[x509.Certificate, ...]) -> "Future[str]":
        """Return a future of the reason why a verified chain is not accepted; empty: it is. The future never raises."""

    async def stop(self) -> None:
        """Ask no more; harmless when called twice."""
