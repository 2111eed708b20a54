"""Holds back an open session until its server's certificate is known not to be revoked."""

from asyncio import Future
from collections.abc import Callable

from bridge.north.revocation.contract import Revocation
from bridge.north.sessions.channel import Channel, ChannelUser, End, Ended
from bridge.tls.contract import Session

HELD = 64  # messages of a server that are kept meanwhile; one that sends more is left


class Verifying:
    """A `ChannelUser` between a channel and its user: the user gets nothing before the certificate is accepted."""

    def __init__(self, user: ChannelUser, session: Session, revocation: Revocation) -> None:
        """`begin` must be called with the channel before it has events."""
        self._user = user
        self._session = session
        self._revocation = revocation
        self._channel: Channel | None = None
        self._in_use: Callable[[], bool] = lambda: False
        self._accepted = False
        self._resumed = False
        self._held: list[bytes] = []

    def begin(self, channel: Channel, in_use: Callable[[], bool]) -> None:
        """Set the channel. `in_use`: whether its user still has it."""
        self._channel, self._in_use = channel, in_use

    def opened(self, *, resumed: bool) -> None:
        """Ask about the server's certificate."""
        self._resumed = resumed
        self._revocation.refusal(self._session.chain).add_done_callback(self._known)

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

    def _known(self, future: "Future[str]") -> None:
        if future.cancelled() or self._channel is None or not self._in_use():
            return  # the link was closed meanwhile
        refusal = future.result()
        if refusal:
            self._refuse(f"the server's certificate is not accepted: {refusal}")
            return
        self._accepted = True
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
