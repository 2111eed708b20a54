"""What links need to know of the check of a server's certificate."""

from asyncio import Future
from dataclasses import dataclass
from typing import Protocol

from cryptography import x509


@dataclass(slots=True)
class RevocationCounters:
    """Counters of checks of servers' certificates."""

    good: int = 0
    refused: int = 0  # a responder says that it is revoked, or that it does not know it
    closed: int = 0  # sessions that were open when that was found out
    unproven: int = 0  # no usable answer
    asked: int = 0  # requests to responders
    listed: int = 0  # openings refused because a revocation list has it that is newer than the last reload
    listed_open: int = 0  # sessions that were open when a newer list had it


@dataclass(frozen=True, slots=True)
class RevocationVerdict:
    """What was found out about a chain."""

    refusal: str
    """Why it is not accepted; empty: it is."""
    again: float
    """Seconds after which the question should be asked again for a session that is open."""
    certain: bool = True
    """Whether the refusal rests on what a responder said, and not on the lack of an answer."""


class Revocation(Protocol):
    """Checks the certificates of one server."""

    @property
    def checked(self) -> RevocationCounters:
        """Return the counters, which checks of several servers may share."""

    def verdict(self, chain: tuple[x509.Certificate, ...], *, is_open: bool = False) -> "Future[RevocationVerdict]":
        """Return a future of whether a verified chain is accepted; it never raises.

        `is_open`: the session is in use already, and its certificate was accepted before.
        """

    async def stop(self) -> None:
        """Ask no more; harmless when called twice."""
