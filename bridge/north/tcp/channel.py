"""One connection as a channel: TCP, or TLS on it, with the messages of RFC 8323."""

import asyncio
import logging
from collections.abc import Callable
from typing import cast

from bridge.errors import BridgeError, MessageFormatError
from bridge.north.contract import Sending
from bridge.north.sessions.channel import ChannelUser, End, Ended
from bridge.north.tcp.acknowledging import Acknowledging, EndedByServer
from bridge.tls.contract import Cause, Phase, Session

_log = logging.getLogger("bridge.north")

OPENING = 10.0  # seconds that a connection may take until the server's CSM has come, TLS included
PONG = 30.0  # seconds that a server may take for a Pong; then it stalls, or is gone
DRAIN = 5.0  # seconds in which a server that ends the connection may still answer
UNREAD = 30.0  # seconds in which a server must read something; else the connection ends
WRITE_BUFFER = 64 * 1024  # bytes beyond which messages wait
PIECE = 16 * 1024  # bytes of a piece of a stream, at most (RFC 5246 §6.2.1)

Connect = Callable[["StreamChannel"], "asyncio.Future[object]"]
"""Begins to connect a protocol."""


class StreamChannel(asyncio.Protocol):
    """`bridge.north.sessions.channel.Channel`."""

    def __init__(self, server: str, user: ChannelUser, connect: Connect, session: Session | None, wall: float) -> None:
        """`session`: TLS; None: plain TCP. `wall`: seconds of the wall clock."""
        self._server = server
        self._user: ChannelUser | None = user
        self._session = session
        self._messages = Acknowledging(wall)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._open = False
        self._unread: asyncio.TimerHandle | None = None
        self._connecting = asyncio.ensure_future(connect(self))
        self._timer: asyncio.TimerHandle | None = self._loop.call_later(OPENING, self._too_slow)
        self._connecting.add_done_callback(self._connected)

    # -- Channel -------------------------------------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        """Return whether messages should wait: the server accepts none, or wants no more."""
        return self._paused or self._messages.released is not None

    def send(self, message: bytes) -> Sending:
        """Write a message."""
        too_large = self._messages.too_large
        left = self._messages.send(message)
        if self._messages.too_large != too_large:
            _log.warning(
                "a message is larger than the server accepts", extra={"server": self._server, "sample": self._server}
            )
        self._write()
        return Sending.LEFT if left else Sending.DROPPED

    def close(self, *, in_order: bool) -> None:
        """End the connection; only the server is notified."""
        self._user = None
        if in_order and self._open:
            self._messages.release()
            self._write()
        self._shut()

    # -- asyncio -------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._user is None:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER)
        self._write()

    def data_received(self, data: bytes) -> None:
        if self._user is None:
            return
        session = self._session
        pieces = [data] if session is None else session.receive(data)
        try:
            for piece in pieces:
                self._messages.receive(piece)
        except EndedByServer as error:
            self._hand_over()
            self._end(End(Ended.LOST, str(error), error.hold_off))
            return
        except MessageFormatError as error:
            self._hand_over()
            self._messages.abort(str(error))
            self._write()
            self._end(End(Ended.REFUSED, f"what the server sent cannot be read: {error}"))
            return
        self._write()
        self._hand_over()
        if session is not None and session.phase is Phase.OVER:
            self._end(_end_of(session))
        elif self._messages.released is not None:
            self._wait(DRAIN, self._drained)
        elif self._open:
            self._watch_pong()

    def eof_received(self) -> bool:
        return False  # the server sends no more, so nothing would be acknowledged: the connection is useless

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._messages.released is not None:
            self._drained()
        elif not self._open:
            text = "it closed the connection before it sent anything that is CoAP over TCP (RFC 8323)"
            self._end(End(Ended.UNHEARD if self._unheard else Ended.REFUSED, f"server {self._server!r}: {text}"))
        elif exc is None:
            self._end(End(Ended.CLOSED, "the server closed the connection"))
        else:
            self._end(End(Ended.LOST, f"the connection broke: {exc}"))

    def pause_writing(self) -> None:
        """Stop reading: a server's messages may need answers, which could not be sent, and would pile up."""
        self._paused = True
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.pause_reading()
            self._watch_reading(transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._paused = False
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        if self._user is not None and self._open:
            self._user.writable()

    # -- inside --------------------------------------------------------------------------------------------------

    @property
    def _unheard(self) -> bool:
        return self._session is None or not self._session.heard

    def _connected(self, future: "asyncio.Future[object]") -> None:
        if future.cancelled() or self._user is None:
            return
        error = future.exception()
        if isinstance(error, BridgeError):
            self._end(End(Ended.LOCAL, str(error)))
        elif error is not None:
            self._end(End(Ended.UNHEARD, f"server {self._server!r} cannot be reached over TCP: {error}"))

    def _hand_over(self) -> None:
        """Pass what has come to the user, in order."""
        if self._messages.ready and not self._open and self._user is not None:
            self._open = True
            self._cancel()
            self._user.opened(resumed=self._session is not None and self._session.resumed)
        arrived, self._messages.arrived = self._messages.arrived, []
        for message in arrived:
            if self._user is not None:
                self._user.arrived(message)

    def _write(self) -> None:
        """Write the bytes of the messages, and of TLS below them."""
        session, transport = self._session, self._transport
        if transport is None or transport.is_closing():
            return
        if session is None:
            transport.write(self._messages.outgoing())
        else:
            if session.phase is Phase.OPEN:
                data = self._messages.outgoing()
                for at in range(0, len(data), PIECE):
                    session.send(data[at : at + PIECE])
            for piece in session.outgoing():
                transport.write(piece)
        if self._open:
            self._watch_pong()

    def _watch_pong(self) -> None:
        if not self._messages.pinged:
            self._cancel()
        elif self._timer is None:
            self._wait(PONG, self._stalled)

    def _too_slow(self) -> None:
        self._timer = None
        what = f"server {self._server!r} does not answer within {OPENING:.0f} s"
        self._end(End(Ended.UNHEARD if self._unheard else Ended.REFUSED, what))

    def _watch_reading(self, left: int) -> None:
        if self._unread is not None:
            self._unread.cancel()
        self._unread = self._loop.call_later(UNREAD, self._reads_nothing, left)

    def _reads_nothing(self, before: int) -> None:
        """End the connection if still as many bytes wait as `before`."""
        self._unread = None
        left = 0 if self._transport is None else self._transport.get_write_buffer_size()
        if left < before:
            self._watch_reading(left)
        else:
            self._end(End(Ended.LOST, f"the server has read nothing of what was sent for {UNREAD:.0f} s"))

    def _stalled(self) -> None:
        self._timer = None
        if self._paused:  # a Pong cannot be read now; `_reads_nothing` judges the server
            self._wait(PONG, self._stalled)
            return
        self._end(End(Ended.LOST, f"the server answered no Ping for {PONG:.0f} s"))

    def _drained(self) -> None:
        self._end(End(Ended.CLOSED, "the server asked to end the connection", self._messages.released or 0.0))

    def _end(self, end: End) -> None:
        user, self._user = self._user, None
        self._shut()
        if user is not None:
            user.ended(end)

    def _shut(self) -> None:
        self._cancel()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        self._connecting.cancel()
        if self._session is not None:
            self._session.close()
            if self._transport is not None and not self._transport.is_closing():
                for piece in self._session.outgoing():
                    self._transport.write(piece)
        if self._transport is not None:
            self._transport.close()
            if self._transport.get_write_buffer_size():  # else a server that reads nothing would keep it open forever
                self._loop.call_later(DRAIN, self._transport.abort)

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        self._cancel()
        self._timer = self._loop.call_later(seconds, then)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _end_of(session: Session) -> End:
    if session.failure is None:
        return End(Ended.CLOSED, "the server closed the session")
    lost = session.failure.cause is Cause.CUT_OFF
    return End(Ended.LOST if lost else Ended.REFUSED, session.failure.text)
