"""Holds back an open session until its server's certificate is known not to be revoked, and asks again later."""

import asyncio
import logging
import weakref
from asyncio import Future
from collections.abc import Callable

from bridge.north.revocation.contract import Revocation, RevocationVerdict
from bridge.north.sessions.channel import Channel, ChannelUser, End, Ended
from bridge.tls.contract import Session

_log = logging.getLogger("bridge.north")

HELD = 64  # messages of a server that are kept meanwhile; one that sends more is left
GRACE = 3600.0  # seconds that an open session lasts without proof, where `ocsp_unavailable` is `refuse`


class Verifying:
    """A `ChannelUser` between a channel and its user: the user gets nothing before the certificate is accepted.

    As long as the session lasts, the question is asked again whenever an answer has become old. A session whose
    certificate is revoked meanwhile ends.
    """

    def __init__(self, user: ChannelUser, session: Session, revocation: Revocation) -> None:
        """`begin` must be called with the channel before it has events."""
        self._user = user
        self._session = session
        self._revocation = revocation
        self._channel: Channel | None = None
        self._in_use: Callable[[], bool] = lambda: False
        self._accepted = False
        self._accepted_at = 0.0  # of the event loop's clock, when it was found acceptable last
        self._resumed = False
        self._held: list[bytes] = []

    def begin(self, channel: Channel, in_use: Callable[[], bool]) -> None:
        """Set the channel. `in_use`: whether its user still has it."""
        self._channel, self._in_use = channel, in_use

    def opened(self, *, resumed: bool) -> None:
        """Ask about the server's certificate."""
        self._resumed = resumed
        self._revocation.verdict(self._session.chain).add_done_callback(self._known)

    def arrived(self, message: bytes) -> None:
        """Pass a message on, or keep it until the certificate is accepted."""
        if self._accepted:
            self._user.arrived(message)
        elif len(self._held) < HELD:
            self._held.append(message)
        else:
            self._refuse("the server sent too many messages before its certificate was checked")

    def writable(self) -> None:
        """Pass it on."""
        if self._accepted:
            self._user.writable()

    def ended(self, end: End) -> None:
        """Pass it on."""
        self._held.clear()
        self._channel = None
        self._user.ended(end)

    def ask_again(self) -> None:
        """Ask about the certificate of the session in use, unless it has ended."""
        if self._channel is not None and self._in_use():
            self._revocation.verdict(self._session.chain, is_open=True).add_done_callback(self._known_again)

    def _known_again(self, future: "Future[RevocationVerdict]") -> None:
        if future.cancelled() or self._channel is None or not self._in_use():
            return
        verdict, now = future.result(), asyncio.get_running_loop().time()
        if not verdict.refusal:
            self._accepted_at = now
        elif verdict.certain or now - self._accepted_at > GRACE:
            why = f"the server's certificate is no longer accepted: {verdict.refusal}"
            _log.warning("a session is closed", extra={"why": why, "sample": f"closed {verdict.refusal}"})
            self._refuse(why)
            return
        self._later(verdict.again)

    def _later(self, seconds: float) -> None:
        """Ask again after so many seconds; a session that is gone by then is not kept in memory for that."""
        asyncio.get_running_loop().call_later(seconds, _ask_again, weakref.ref(self))

    def _known(self, future: "Future[RevocationVerdict]") -> None:
        if future.cancelled() or self._channel is None or not self._in_use():
            return  # the link was closed meanwhile
        verdict = future.result()
        if verdict.refusal:
            self._refuse(f"the server's certificate is not accepted: {verdict.refusal}")
            return
        self._accepted = True
        self._accepted_at = asyncio.get_running_loop().time()
        self._later(verdict.again)
        self._user.opened(resumed=self._resumed)
        held, self._held = self._held, []
        for message in held:
            self._user.arrived(message)

    def _refuse(self, why: str) -> None:
        channel, self._channel = self._channel, None
        self._held.clear()
        if channel is not None and self._in_use():
            channel.close(in_order=True)
            self._user.ended(End(Ended.REFUSED, why))


def _ask_again(of: "weakref.ref[Verifying]") -> None:
    verifying = of()
    if verifying is not None:
        verifying.ask_again()
