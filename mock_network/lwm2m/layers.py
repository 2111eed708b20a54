"""Two layers of aiocoap, changed: a message that is given up fails alone; unneeded messages are not sent.

This follows RFC 7252 §4.2; aiocoap ends all exchanges with that peer, observations too.
"""

import functools
import random
from collections.abc import Callable
from typing import Any, cast

from aiocoap import error
from aiocoap.message import Message
from aiocoap.messagemanager import MessageManager
from aiocoap.numbers.codes import Code
from aiocoap.numbers.types import Type
from aiocoap.tokenmanager import TokenManager

from mock_network.lwm2m.transport import Peer

_REMEMBERED_NOTIFICATIONS = 1000


class Messages(MessageManager):  # type: ignore[misc]  # aiocoap has no types
    """aiocoap's message layer, where one message that is given up ends nothing but itself."""

    def __init__(self, tokens: TokenManager, *, nstart_unlimited: bool, given_up: Callable[[Any], None]) -> None:
        super().__init__(tokens)
        self._nstart_unlimited = nstart_unlimited
        self._given_up = given_up
        self._notified: dict[tuple[Peer, int], Callable[[], None]] = {}
        """What ends the observation, for each of the last NON notifications."""

    def dispatch_message(self, message: Message) -> None:
        """Answer a repeated response as the first time, and do not deliver it again (RFC 7252 §4.2, §4.5)."""
        if message.mtype is Type.RST:
            # aiocoap minds only RST to CON; RFC 7641 §3.6 has it end an observation for NON as well.
            forgotten = self._notified.pop((message.remote, message.mid), None)
            if forgotten is not None:
                forgotten()
        once = message.code.is_response() and message.mtype in {Type.CON, Type.NON}
        if not (once and self._deduplicate_message(message)):
            super().dispatch_message(message)

    def send_message(self, message: Message, messageerror_monitor: Callable[[], None]) -> Callable[[], None] | None:
        super().send_message(message, messageerror_monitor)
        if message.mtype is Type.CON and message.code.is_request():
            return functools.partial(self._stop_sending, message)
        return None

    def _send_initially(self, message: Message, messageerror_monitor: Callable[[], None] | None = None) -> None:
        if message.mtype is Type.NON and message.opt.observe is not None and messageerror_monitor is not None:
            while len(self._notified) >= _REMEMBERED_NOTIFICATIONS:
                del self._notified[next(iter(self._notified))]
            self._notified[message.remote, message.mid] = messageerror_monitor
        super()._send_initially(message, messageerror_monitor)

    def _process_response(self, response: Message) -> bool:
        expected = cast(bool, super()._process_response(response))
        if not expected and response.mtype is Type.NON and response.opt.observe is not None:
            # RFC 7641 §3.6 lets a forgotten observation be rejected; without it, NON would continue forever.
            reset = Message(code=Code.EMPTY)
            reset.mtype, reset.mid, reset.remote = Type.RST, response.mid, response.remote
            self._send_initially(reset)
        return expected

    def _stop_sending(self, message: Message) -> None:
        """A response came without its ACK, or nobody waits any more: no retransmission is needed (RFC 7252 §5.2.2)."""
        if self._active_exchanges is None:  # shut down
            return
        exchange = self._active_exchanges.pop((message.remote, message.mid), None)
        if exchange is not None:
            exchange[1].cancel()
            self._continue_backlog(message.remote)
            return
        backlog = self._backlogs.get(message.remote, [])
        backlog[:] = [entry for entry in backlog if entry[0] is not message]

    def _add_exchange(self, message: Message, messageerror_monitor: Callable[[], None]) -> None:
        super()._add_exchange(message, messageerror_monitor)
        if self._nstart_unlimited:
            # With no backlog there, the next CON goes out at once.
            self._backlogs.pop(message.remote, None)

    def _continue_backlog(self, remote: Peer) -> None:
        if not self._nstart_unlimited:
            super()._continue_backlog(remote)

    def _retransmit(self, message: Message, timeout: float, retransmission_counter: int) -> None:
        if retransmission_counter < message.transport_tuning.MAX_RETRANSMIT:
            super()._retransmit(message, timeout, retransmission_counter)
            return
        monitor, handle = self._active_exchanges.pop((message.remote, message.mid))
        handle.cancel()
        self._given_up(message)
        pipe = self.token_manager.outgoing_requests.get((message.token, message.remote))
        if message.code.is_request() and pipe is not None:
            pipe.add_exception(error.ConRetransmitsExceeded("no acknowledgement"))
        else:
            # RFC 7641 §4.5: a notification that cannot be delivered ends its observation.
            monitor()
        self._continue_backlog(message.remote)


class Tokens(TokenManager):  # type: ignore[misc]  # aiocoap has no types
    """aiocoap's token layer with tokens of a chosen length, and one that can be used again."""

    def __init__(self, context: Any, *, token_length: int, rng: random.Random, late: Callable[[Message], None]) -> None:
        super().__init__(context)
        self._token_length = token_length
        self._rng = rng
        self._late = late
        self._again: bytes | None = None

    def request_with(self, pipe: Any, token: bytes | None) -> None:
        """Send the pipe's request; `token` is used again where RFC 7641 §3.6 asks for it, None takes a new one."""
        self._again = token
        self.request(pipe)

    def next_token(self) -> bytes:
        if self._again is not None:
            token, self._again = self._again, None
            return token
        while True:
            token = self._rng.randbytes(self._token_length)
            if all(used != token for used, _ in self.outgoing_requests):
                return token

    def process_response(self, response: Message) -> bool:
        pipe = self.outgoing_requests.get((response.token, response.remote))
        if pipe is not None and pipe.request.opt.observe == 1 and response.opt.observe is not None:
            # A notification that was on its way while the observation is being cancelled is not the answer.
            self._late(response)
            return True
        return cast(bool, super().process_response(response))
