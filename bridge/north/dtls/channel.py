"""One DTLS session as a channel: its datagrams, its timer, and the meaning of its end."""

import asyncio
from typing import Protocol

from bridge.north.contract import Sending
from bridge.north.sessions.channel import ChannelUser, End, Ended
from bridge.tls.contract import Cause, Phase, Session

SILENCE = 10.0  # seconds without an answer that end a handshake; the bridge's flight was sent four times until then
HANDSHAKE = 40.0  # seconds that a handshake may take in all
AMPLIFICATION = 3  # bytes of a handshake that a byte from the server's address may cause, at most
COOKIE = 255  # bytes of a cookie, at most (RFC 6347 §4.2.1): the first flight is sent again with it
LARGEST = 16384  # bytes of a message: one record (RFC 6347 §4.1)


class Datagrams(Protocol):
    """Sends one datagram to the server of a session."""

    def __call__(self, datagram: bytes) -> Sending: ...


class DtlsChannel:
    """`bridge.north.sessions.channel.Channel`. `receive` is called with the server's datagrams."""

    is_full = False  # a datagram that the system does not accept waits there

    def __init__(self, server: str, session: Session, user: ChannelUser, send: Datagrams) -> None:
        self.session = session
        self._server = server
        self._user: ChannelUser | None = user
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._began = self._heard = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._credit = COOKIE  # bytes that may be sent in reply to datagrams before the session is open
        self._flush()
        self._arm()

    def send(self, message: bytes) -> Sending:
        """Send a message as a record of its own."""
        if len(message) > LARGEST:
            return Sending.DROPPED
        self.session.send(message)
        if self.session.phase is Phase.OVER:
            self._loop.call_soon(self._look)  # later: the caller of this method still handles the message
            return Sending.DROPPED
        return self._flush()

    def receive(self, datagram: bytes) -> None:
        """Process one datagram from the server's address."""
        was_open = self.session.phase is Phase.OPEN
        self._heard = self._loop.time()
        messages = self.session.receive(datagram)
        self._reply(len(datagram))
        if not was_open and self._user is not None and (self.session.phase is Phase.OPEN or messages):
            self._disarm()
            self._user.opened(resumed=self.session.resumed)
        for message in messages:
            if self._user is not None:
                self._user.arrived(message)
        if self.session.phase is not Phase.OPEN:
            self._look()

    def close(self, *, in_order: bool) -> None:
        """End the session; only the server is notified."""
        self._user = None
        self._disarm()
        self.session.close()
        if in_order:
            self._flush()

    def _flush(self) -> Sending:
        """Send what the bridge sends of itself: the first flight, flights that are due again, messages."""
        result = Sending.LEFT
        for datagram in self.session.outgoing():
            if self.session.phase is Phase.HANDSHAKE and not self.session.heard:
                self._credit = max(self._credit, len(datagram) + COOKIE)
            result = self._send(datagram)
        return result

    def _reply(self, received: int) -> None:
        """Send replies to a datagram, which anybody can have sent from the server's address while a handshake runs.

        What exceeds the credit is lost, as datagrams may be; the session's timer sends it again.
        """
        if self.session.phase is not Phase.HANDSHAKE:
            self._flush()
            return
        self._credit += AMPLIFICATION * received
        for datagram in self.session.outgoing():
            if len(datagram) <= self._credit:
                self._credit -= len(datagram)
                self._send(datagram)

    def _arm(self) -> None:
        """Set a timer for the session's deadline, or for the end of the handshake's time."""
        if self.session.phase is not Phase.HANDSHAKE or self._user is None:
            return
        due = self.session.deadline()
        wait = self._patience if due is None else min(due, self._patience)
        self._timer = self._loop.call_later(max(wait, 0.0), self._ring)

    @property
    def _patience(self) -> float:
        """Return the seconds until the handshake is given up."""
        return min(self._heard + SILENCE, self._began + HANDSHAKE) - self._loop.time()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        if self._patience <= 0:
            self._gives_up()
            return
        self.session.expire()
        self._flush()
        self._look()

    def _gives_up(self) -> None:
        session = self.session
        if not session.heard:
            what = f"server {self._server!r} does not answer; is it running, and is this its port for DTLS?"
            self._end(End(Ended.UNHEARD, what))
        elif session.proven:
            why = "the server stopped answering after our proof; most likely it has another key for this identity"
            self._end(End(Ended.REFUSED, why))
        else:
            self._end(End(Ended.LOST, "the server stopped answering during the handshake"))

    def _look(self) -> None:
        """Continue waiting, or report the end."""
        session = self.session
        if session.phase is not Phase.OVER:
            if self._timer is None:
                self._arm()
            elif session.phase is Phase.HANDSHAKE:
                self._disarm()
                self._arm()
        elif session.failure is None:
            self._end(End(Ended.CLOSED, "the server closed the session"))
        else:
            lost = session.failure.cause is Cause.CUT_OFF
            self._end(End(Ended.LOST if lost else Ended.REFUSED, session.failure.text))

    def _end(self, end: End) -> None:
        user, self._user = self._user, None
        self._disarm()
        self.session.close()
        self._flush()
        if user is not None:
            user.ended(end)
