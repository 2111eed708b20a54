"""The client's role of a CoAP endpoint: requests, block-wise where needed, their responses and notifications."""

import asyncio
import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiocoap import error
from aiocoap.message import Message
from aiocoap.numbers.codes import Code
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.numbers.types import Type
from aiocoap.pipe import Pipe

from mock_network.lwm2m.blockwise import LARGEST_EXPONENT
from mock_network.lwm2m.layers import Tokens
from mock_network.lwm2m.messages import (
    Closed,
    NoAnswer,
    NotAcknowledged,
    Request,
    Reset,
    Response,
    Tuning,
    block_of,
    dotted,
)
from mock_network.lwm2m.oscore import OscoreError, protect_request
from mock_network.lwm2m.transport import Address, Peer

_log = logging.getLogger(__name__)

Notified = Callable[[Response | None], None]


@dataclass(slots=True)
class Exchange:
    """A request that was sent; holds on to an observation until `stop`."""

    token: bytes
    response: Response
    stop: Callable[[], None] = field(repr=False)


class Requests:
    """Sends requests through `tokens`; `log` is aiocoap's."""

    def __init__(self, tokens: Tokens, tuning: Tuning, log: logging.Logger) -> None:
        self._tokens, self._tuning, self._log = tokens, tuning, log
        self._loop = asyncio.get_running_loop()

    async def request(
        self,
        peer: Address,
        request: Request,
        *,
        wait: float | None,
        on_notification: Notified | None = None,
        token: bytes | None = None,
    ) -> Exchange:
        """Send a request, block-wise if needed, and wait up to `wait` seconds (None: no limit) for its response.

        With Observe 0 and `on_notification`, that is called with each notification, whole, and with None when the
        observation ended; call `stop` of the result to forget the observation, so that the next notification is
        answered RST. A 4.01 with an Echo value is followed by the request with that value, once (RFC 9175 §2.2).
        NoAnswer, NotAcknowledged, Reset, Closed, OscoreError.
        """
        try:
            async with asyncio.timeout(wait):
                exchange = await self._send_body(peer, request, on_notification, token)
                first = exchange.response_message
                if first.code == Code.UNAUTHORIZED and first.opt.echo is not None and request.echo is None:
                    request = dataclasses.replace(request, echo=first.opt.echo)
                    exchange = await self._send_body(peer, request, on_notification, token)
                block = block_of(exchange.response_message.opt.block2)
                if block is not None and block.more:
                    try:
                        payload = await self.fetch_rest(peer, request, exchange.response_message)
                    except BaseException:
                        exchange.stop()
                        raise
                else:
                    payload = exchange.response_message.payload
        except TimeoutError:
            raise NoAnswer(f"no answer within {wait} s") from None
        return Exchange(exchange.token, response_of(exchange.response_message, payload), exchange.stop)

    async def _send_body(
        self,
        peer: Address,
        request: Request,
        on_notification: Notified | None,
        token: bytes | None,
    ) -> "_Sent":
        exponent = self._tuning.block_exponent
        position = 0
        blocks = len(request.payload) > 2 ** (exponent + 4)
        while True:
            size = 2 ** (exponent + 4)
            message = self._message(request)
            if blocks:
                message.payload = request.payload[position : position + size]
                more = position + size < len(request.payload)
                message.opt.block1 = (position // size, more, exponent)
            sent = await self._transact(peer, message, request, on_notification, token)
            answer = block_of(sent.response_message.opt.block1)
            code = sent.response_message.code
            if code == Code.REQUEST_ENTITY_TOO_LARGE and answer is not None and position == 0:
                # RFC 7959 §2.9.3: a smaller size is offered. Without a smaller one the 4.13 is the answer.
                current = min(size, len(request.payload))
                if answer.exponent <= LARGEST_EXPONENT and answer.size < current:
                    exponent, blocks = answer.exponent, True
                    continue
            if not blocks or not message.opt.block1.more or code != Code.CONTINUE:
                return sent
            if self._tuning.piggybacked_blocks and sent.response_message.mtype is not Type.ACK:
                raise NoAnswer("the 2.31 did not come in the acknowledgement")
            position += len(message.payload)
            if answer is not None and answer.exponent < exponent:
                exponent = answer.exponent  # §2.3: later blocks use the smaller size

    async def fetch_rest(self, peer: Address, request: Request, first: Any) -> bytes:
        body: bytes = first.payload
        block = block_of(first.opt.block2)
        while block is not None and block.more:
            message = self._message(request)
            message.payload = b""
            message.opt.observe = None
            message.opt.content_format = None
            message.opt.block2 = (len(body) // block.size, False, block.exponent)
            sent = await self._transact(peer, message, request, None, None)
            answer = sent.response_message
            block = block_of(answer.opt.block2)
            if block is None or block.number * block.size != len(body):
                # Refused, or another representation in between: the peer's answer is what the caller gets.
                return bytes(answer.payload)
            body += answer.payload
        return body

    def _message(self, request: Request) -> Any:
        message = Message(
            code=dotted(request.code),
            payload=request.payload,
            transport_tuning=self._tuning.for_aiocoap(confirmable=request.confirmable),
        )
        message.opt.uri_path = request.path
        message.opt.uri_query = request.query
        message.opt.content_format = request.content_format
        message.opt.accept = request.accept
        message.opt.observe = request.observe
        message.opt.echo = request.echo
        for number, value in request.options:
            message.opt.add_option(OptionNumber(number).create_option(decode=value))
        return message

    async def _transact(
        self,
        peer: Address,
        message: Any,
        request: Request,
        on_notification: Notified | None,
        token: bytes | None,
    ) -> "_Sent":
        """Send one message, protected if the request asks for it, and return its response."""
        message.remote = Peer(peer)
        outgoing: Any = message
        verify: Callable[[Any], Any] = _as_it_is
        if request.security is not None:
            outgoing, verify = protect_request(request.security, message)
        pipe = Pipe(outgoing, self._log)
        answered: asyncio.Future[Any] = self._loop.create_future()
        notifications = _Notifications(self, peer, request, on_notification)

        def on_event(event: Any) -> bool:
            if event.exception is not None:
                if not answered.done():
                    answered.set_exception(_translate(event.exception))
                else:
                    notifications.end()
                return False
            if event.message is None:
                return False
            try:
                found = verify(event.message)
            except OscoreError as problem:
                _log.warning("%s: %s", peer, problem)
                if not answered.done():
                    answered.set_exception(problem)
                return not event.is_last
            if not answered.done():
                answered.set_result(found)
            else:
                notifications.put(found)
            if event.is_last and event.message.opt.observe is None and message.opt.observe == 0:
                notifications.end()
            return not event.is_last

        unregister = pipe.on_event(on_event)

        def stop() -> None:
            unregister()
            notifications.cancel()

        try:
            self._tokens.request_with(pipe, token)
            response = await answered
        except BaseException:
            stop()
            raise
        if on_notification is None or response.opt.observe is None:
            stop()
        return _Sent(outgoing.token, response, stop)


def _as_it_is(message: Any) -> Any:
    return message


@dataclass(frozen=True, slots=True)
class _Sent:
    token: bytes
    response_message: Any
    stop: Callable[[], None]


class _Notifications:
    """Hands notifications on in their order of arrival, each whole."""

    def __init__(
        self,
        requests: Requests,
        peer: Address,
        request: Request,
        deliver: Notified | None,
    ) -> None:
        self._requests = requests
        self._peer = peer
        self._request = request
        self._deliver = deliver
        self._queue: list[Any] = []
        self._task: asyncio.Task[None] | None = None
        self._ended = False

    def put(self, message: Any) -> None:
        if self._deliver is None:
            return
        block = block_of(message.opt.block2)
        if self._task is None and (block is None or not block.more):
            self._deliver(response_of(message))
            return
        self._queue.append(message)
        if self._task is None:
            self._task = asyncio.create_task(self._complete())

    async def _complete(self) -> None:
        try:
            while self._queue and self._deliver is not None:
                message = self._queue.pop(0)
                try:
                    payload = await self._requests.fetch_rest(self._peer, self._request, message)
                except (NoAnswer, Reset, Closed) as problem:
                    _log.warning("the rest of a notification from %s is missing: %r", self._peer, problem)
                    continue
                self._deliver(response_of(message, payload))
        finally:
            self._task = None

    def end(self) -> None:
        if self._deliver is not None and not self._ended:
            self._ended = True
            self._deliver(None)

    def cancel(self) -> None:
        self._deliver = None
        if self._task is not None:
            self._task.cancel()


def response_of(message: Any, payload: bytes | None = None) -> Response:
    """Read a response or a notification that arrives now; `payload` where its whole body has been fetched."""
    return Response(
        code=message.code.dotted,
        payload=message.payload if payload is None else payload,
        content_format=None if message.opt.content_format is None else int(message.opt.content_format),
        location=tuple(message.opt.location_path),
        observe=message.opt.observe,
        mid=message.mid,
        token=message.token,
        type=message.mtype.name,
        confirmable=message.mtype is Type.CON,
        time=asyncio.get_running_loop().time(),
        max_age=message.opt.max_age,
        echo=message.opt.echo,
        peer=message.remote.address,
    )


def _translate(problem: Any) -> Exception:
    """Raise aiocoap's exceptions, some given as classes, as ours."""
    kind = problem if isinstance(problem, type) else type(problem)
    if issubclass(kind, error.ConRetransmitsExceeded):
        return NotAcknowledged("no acknowledgement after all retransmissions")
    if issubclass(kind, error.MessageError):
        return Reset("the peer answered RST")
    if issubclass(kind, error.LibraryShutdown):
        return Closed("the endpoint was shut down")
    return Closed(f"aiocoap gave up: {problem!r}")
