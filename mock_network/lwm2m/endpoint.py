"""A CoAP endpoint in both roles on one UDP socket: the thin typed wrapper around aiocoap."""

import asyncio
import contextlib
import ipaddress
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from aiocoap import error
from aiocoap.message import Message
from aiocoap.numbers.codes import Code
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.numbers.types import Type
from aiocoap.pipe import Pipe
from aiocoap.protocol import Context

from mock_network.lwm2m.blockwise import LARGEST_EXPONENT, Block, Incomplete, TooLarge, Transfers
from mock_network.lwm2m.transport import Address, Messages, Peer, Tap, Tokens, UdpTransport, bind

_log = logging.getLogger(__name__)

COAP_PORT = 5683  # RFC 7252 §12.6


@dataclass(frozen=True, slots=True)
class Tuning:
    """Transmission parameters (RFC 7252 §4.8), seconds. A slow network needs a long ACK_TIMEOUT."""

    ack_timeout: float = 2.0
    ack_random_factor: float = 1.5
    max_retransmit: int = 4
    empty_ack_delay: float = 0.1
    """How long a response may take before an Empty ACK goes first."""

    def for_aiocoap(self, *, confirmable: bool | None = None) -> TransportTuning:
        """The same as aiocoap wants it; `confirmable` decides CON or NON, None leaves it to aiocoap."""
        tuning = TransportTuning()
        tuning.ACK_TIMEOUT = self.ack_timeout
        tuning.ACK_RANDOM_FACTOR = self.ack_random_factor
        tuning.MAX_RETRANSMIT = self.max_retransmit
        tuning.EMPTY_ACK_DELAY = self.empty_ack_delay
        tuning.reliability = confirmable
        return tuning


@dataclass(frozen=True, slots=True)
class Request:
    """A CoAP request, to be sent or as it arrived (its body whole). `code` is 1..7 as `0.0x`: GET is `0.01`."""

    code: str
    path: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    payload: bytes = b""
    content_format: int | None = None
    accept: int | None = None
    observe: int | None = None
    confirmable: bool = True
    options: tuple[tuple[int, bytes], ...] = ()
    """Further options, to be sent only."""
    peer: Address = ("", 0)
    mid: int = 0
    token: bytes = b""


GET, POST, PUT, DELETE, FETCH, PATCH, IPATCH = (f"0.0{number}" for number in range(1, 8))


class Subscription(Protocol):
    """What makes the notifications of an observation that the handler accepted."""

    def notifications(self) -> AsyncIterator["Response"]:
        """Each response becomes a notification; one that is no success ends the observation."""

    def closed(self) -> None:
        """The observation is over: cancelled, replaced, answered by RST, given up or shut down."""


@dataclass(frozen=True, slots=True)
class Response:
    """A CoAP response or notification. `time` is seconds of the loop's clock, set on arrival."""

    code: str
    payload: bytes = b""
    content_format: int | None = None
    location: tuple[str, ...] = ()
    observe: int | None = None
    confirmable: bool = True
    """Of a notification: CON or NON."""
    subscription: Subscription | None = None
    mid: int = 0
    token: bytes = b""
    type: str = ""
    time: float = 0.0
    max_age: int | None = None
    peer: Address = ("", 0)

    @property
    def ok(self) -> bool:
        """2.xx."""
        return self.code.startswith("2.")


class NoAnswer(Exception):
    """The time given for a request is over."""


class NotAcknowledged(NoAnswer):
    """A CON request was retransmitted as often as allowed, and no ACK came."""


class Reset(Exception):
    """The peer answered RST."""


class Closed(Exception):
    """The endpoint was shut down under the request."""


Handler = Callable[[Request], Awaitable[Response]]


@dataclass(slots=True)
class Exchange:
    """A request that was sent; holds on to an observation until `stop`."""

    token: bytes
    response: Response
    stop: Callable[[], None] = field(repr=False)


def _dotted(code: str) -> Code:
    return Code((int(code[0]) << 5) + int(code[2:]))


class CoapEndpoint:
    """Sends requests and answers them on one socket. Make it with `create`, end it with `shutdown`."""

    def __init__(self, handler: Handler, tuning: Tuning) -> None:
        self.tuning = tuning
        self.on_given_up: Callable[[Address, int, bytes], None] = lambda _peer, _mid, _token: None
        """Called with peer, MID and token of each CON message that was never acknowledged."""
        self.on_late_notification: Callable[[Response], None] = lambda _response: None
        """Called with a notification that arrives while its observation is being cancelled."""
        self._handler = handler
        self._loop = asyncio.get_running_loop()
        self._observe_number = 0
        self._transfers = Transfers(self._loop.time)
        self._context = Context(loop=self._loop, serversite=self, loggername="mock_network.coap")
        self._tokens: Tokens
        self._messages: Messages
        self._transport: UdpTransport

    @classmethod
    async def create(
        cls,
        handler: Handler,
        address: Address = ("127.0.0.1", 0),
        *,
        tuning: Tuning | None = None,
        tap: Tap = lambda _datagram: None,
        token_length: int = 8,
        nstart_unlimited: bool = False,
        rng: random.Random | None = None,
    ) -> "CoapEndpoint":
        """Bind and start. `tap` sees every message in both directions. OSError if the address cannot be had."""
        endpoint = cls(handler, tuning or Tuning())
        # aiocoap has no public way to attach a transport; this is what its private one does.
        tokens = Tokens(
            endpoint._context, token_length=token_length, rng=rng or random.Random(), late=endpoint._late_notification
        )
        messages = Messages(tokens, nstart_unlimited=nstart_unlimited, given_up=endpoint._gave_up)
        transport = UdpTransport(messages, bind(address), tap, endpoint.tuning.for_aiocoap())
        messages.message_interface = transport
        tokens.token_interface = messages
        endpoint._context.request_interfaces.append(tokens)
        endpoint._tokens, endpoint._messages, endpoint._transport = tokens, messages, transport
        return endpoint

    @property
    def address(self) -> Address:
        """The bound address and port."""
        return self._transport.address

    @property
    def muted(self) -> bool:
        """While set, nothing is received and nothing sent."""
        return self._transport.muted

    @muted.setter
    def muted(self, muted: bool) -> None:
        self._transport.muted = muted

    @property
    def unparsable(self) -> int:
        """Count of datagrams that were no CoAP message."""
        return self._transport.unparsable

    async def shutdown(self) -> None:
        """Close the socket; requests under way end with Closed. Nothing more is sent."""
        # Closed first: ending the observations must not be seen on the wire.
        self._transport.close()
        await self._context.shutdown()

    def _gave_up(self, message: Any) -> None:
        self.on_given_up(message.remote.address, message.mid, message.token)

    def _late_notification(self, message: Any) -> None:
        self.on_late_notification(self._response(message))

    def send_empty(self, peer: Address, *, confirmable: bool) -> None:
        """An Empty message: a ping if confirmable (RFC 7252 §4.3), an uplink poll on LoRaWAN otherwise."""
        message = Message(code=Code.EMPTY)
        message.mtype = Type.CON if confirmable else Type.NON
        message.mid = self._messages._next_message_id()  # noqa: SLF001 Empty messages have no public way in
        message.remote = Peer(peer)
        message.transport_tuning = self.tuning.for_aiocoap()
        self._messages._send_initially(message, lambda: None)  # noqa: SLF001

    # Requests.

    async def request(
        self,
        peer: Address,
        request: Request,
        *,
        wait: float | None,
        on_notification: Callable[[Response | None], None] | None = None,
        token: bytes | None = None,
    ) -> Exchange:
        """Send a request, block-wise where needed, and wait up to `wait` seconds (None: for ever) for its response.

        With Observe 0 and `on_notification`, that is called with each notification, whole, and with None when the
        observation ended; call `stop` of the result to forget the observation, so that the next notification is
        answered RST. NoAnswer, NotAcknowledged, Reset, Closed.
        """
        try:
            async with asyncio.timeout(wait):
                exchange = await self._send_body(peer, request, on_notification, token)
                block = _block(exchange.response_message.opt.block2)
                if block is not None and block.more:
                    try:
                        payload = await self._fetch_rest(peer, request, exchange.response_message)
                    except BaseException:
                        exchange.stop()
                        raise
                else:
                    payload = exchange.response_message.payload
        except TimeoutError:
            raise NoAnswer(f"no answer within {wait} s") from None
        return Exchange(exchange.token, self._response(exchange.response_message, payload), exchange.stop)

    async def _send_body(
        self,
        peer: Address,
        request: Request,
        on_notification: Callable[[Response | None], None] | None,
        token: bytes | None,
    ) -> "_Sent":
        exponent = LARGEST_EXPONENT
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
            answer = _block(sent.response_message.opt.block1)
            code = sent.response_message.code
            if code == Code.REQUEST_ENTITY_TOO_LARGE and answer is not None and position == 0:
                # RFC 7959 §2.9.3: a smaller size is offered. Without a smaller one the 4.13 is the answer.
                current = min(size, len(request.payload))
                if answer.exponent <= LARGEST_EXPONENT and answer.size < current:
                    exponent, blocks = answer.exponent, True
                    continue
            if not blocks or not message.opt.block1.more or code != Code.CONTINUE:
                return sent
            position += len(message.payload)
            if answer is not None and answer.exponent < exponent:
                exponent = answer.exponent  # §2.3: later blocks use the smaller size

    async def _fetch_rest(self, peer: Address, request: Request, first: Any) -> bytes:
        body: bytes = first.payload
        block = _block(first.opt.block2)
        while block is not None and block.more:
            message = self._message(request)
            message.payload = b""
            message.opt.observe = None
            message.opt.content_format = None
            message.opt.block2 = (len(body) // block.size, False, block.exponent)
            sent = await self._transact(peer, message, request, None, None)
            answer = sent.response_message
            block = _block(answer.opt.block2)
            if block is None or block.number * block.size != len(body):
                # Refused, or another representation in between: the peer's answer is what the caller gets.
                return bytes(answer.payload)
            body += answer.payload
        return body

    def _message(self, request: Request) -> Any:
        message = Message(
            code=_dotted(request.code),
            payload=request.payload,
            transport_tuning=self.tuning.for_aiocoap(confirmable=request.confirmable),
        )
        message.opt.uri_path = request.path
        message.opt.uri_query = request.query
        message.opt.content_format = request.content_format
        message.opt.accept = request.accept
        message.opt.observe = request.observe
        for number, value in request.options:
            message.opt.add_option(OptionNumber(number).create_option(decode=value))
        return message

    async def _transact(
        self,
        peer: Address,
        message: Any,
        request: Request,
        on_notification: Callable[[Response | None], None] | None,
        token: bytes | None,
    ) -> "_Sent":
        """One message and its response."""
        message.remote = Peer(peer)
        pipe = Pipe(message, self._context.log)
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
            if not answered.done():
                answered.set_result(event.message)
            else:
                notifications.put(event.message)
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
        return _Sent(message.token, response, stop)

    def _response(self, message: Any, payload: bytes | None = None) -> Response:
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
            time=self._loop.time(),
            max_age=message.opt.max_age,
            peer=message.remote.address,
        )

    # Answers.

    async def render_to_pipe(self, pipe: Any) -> None:
        """What aiocoap calls for each request: answer it, and send its notifications until cancelled."""
        message = pipe.request
        try:
            request = self._assemble(message)
        except (Incomplete, TooLarge) as problem:
            code = Code.REQUEST_ENTITY_INCOMPLETE if isinstance(problem, Incomplete) else Code.REQUEST_ENTITY_TOO_LARGE
            pipe.add_response(Message(code=code), is_last=True)
            return
        if request is None:
            answer = Message(code=Code.CONTINUE)
            answer.opt.block1 = message.opt.block1
            pipe.add_response(answer, is_last=True)
            return
        wanted = _block(message.opt.block2)
        if wanted is not None and wanted.number > 0:
            pipe.add_response(self._later_block(message, request, wanted), is_last=True)
            return
        response = await self._handler(request)
        subscription = response.subscription
        if subscription is None:
            pipe.add_response(self._answer(message, request, response, wanted), is_last=True)
            return
        try:
            pipe.add_response(
                self._answer(message, request, response, wanted, self._next_observe_number()), is_last=False
            )
            async with contextlib.aclosing(subscription.notifications()) as notifications:  # type: ignore[type-var]
                async for notification in notifications:
                    last = not notification.ok
                    number = None if last else self._next_observe_number()
                    pipe.add_response(self._answer(message, request, notification, wanted, number), is_last=last)
                    if last:
                        return
        finally:
            subscription.closed()

    def _next_observe_number(self) -> int:
        """Rises over all observations, so that it also rises when one is renewed (RFC 7641 §4.4: 24 bits)."""
        self._observe_number = (self._observe_number + 1) % (1 << 24)
        return self._observe_number

    def end_observation(self, peer: Address, token: bytes) -> None:
        """Forget an observation of `peer` without telling it; its subscription is closed."""
        found = self._tokens.incoming_requests.pop((token, Peer(peer)), None)
        if found is not None:
            found[1]()

    def _assemble(self, message: Any) -> Request | None:
        """The request with its whole body, None while blocks are to come."""
        payload: bytes | None = message.payload
        block = _block(message.opt.block1)
        if block is not None:
            payload = self._transfers.take_block1(self._key(message), block, message.payload)
            if payload is None:
                return None
        return Request(
            code=message.code.dotted,
            path=tuple(message.opt.uri_path),
            query=tuple(message.opt.uri_query),
            payload=payload or b"",
            content_format=None if message.opt.content_format is None else int(message.opt.content_format),
            accept=None if message.opt.accept is None else int(message.opt.accept),
            observe=message.opt.observe,
            confirmable=message.mtype is Type.CON,
            peer=message.remote.address,
            mid=message.mid,
            token=message.token,
        )

    @staticmethod
    def _key(message: Any) -> tuple[object, ...]:
        return message.remote.address, message.code.dotted, message.opt.uri_path, message.opt.uri_query

    def _later_block(self, message: Any, request: Request, wanted: Block) -> Any:
        try:
            payload, block = self._transfers.later_block2(self._key(message), wanted)
        except Incomplete:
            return Message(code=Code.REQUEST_ENTITY_INCOMPLETE)
        answer = Message(code=Code.CONTENT, payload=payload)
        answer.opt.content_format = request.accept
        answer.opt.block2 = (block.number, block.more, block.exponent)
        return answer

    def _answer(
        self, message: Any, request: Request, response: Response, wanted: Block | None, observe: int | None = None
    ) -> Any:
        payload, block = self._transfers.first_block2(self._key(message), wanted, response.payload)
        # The first answer takes over the type of its exchange; a notification says for itself.
        confirmable = response.confirmable if request.observe == 0 else None
        answer = Message(
            code=_dotted(response.code),
            payload=payload,
            transport_tuning=self.tuning.for_aiocoap(confirmable=confirmable),
        )
        answer.opt.content_format = response.content_format
        answer.opt.location_path = response.location
        answer.opt.max_age = response.max_age
        answer.opt.observe = observe
        if block is not None:
            answer.opt.block2 = (block.number, block.more, block.exponent)
        if message.opt.block1 is not None:
            answer.opt.block1 = message.opt.block1
        return answer


@dataclass(frozen=True, slots=True)
class _Sent:
    token: bytes
    response_message: Any
    stop: Callable[[], None]


class _Notifications:
    """Hands notifications on in their order of arrival, each whole."""

    def __init__(
        self,
        endpoint: CoapEndpoint,
        peer: Address,
        request: Request,
        deliver: Callable[[Response | None], None] | None,
    ) -> None:
        self._endpoint = endpoint
        self._peer = peer
        self._request = request
        self._deliver = deliver
        self._queue: list[Any] = []
        self._task: asyncio.Task[None] | None = None
        self._ended = False

    def put(self, message: Any) -> None:
        if self._deliver is None:
            return
        block = _block(message.opt.block2)
        if self._task is None and (block is None or not block.more):
            self._deliver(self._endpoint._response(message))  # noqa: SLF001 part of the endpoint
            return
        self._queue.append(message)
        if self._task is None:
            self._task = asyncio.create_task(self._complete())

    async def _complete(self) -> None:
        try:
            while self._queue and self._deliver is not None:
                message = self._queue.pop(0)
                try:
                    payload = await self._endpoint._fetch_rest(self._peer, self._request, message)  # noqa: SLF001
                except (NoAnswer, Reset, Closed) as problem:
                    _log.warning("the rest of a notification from %s is missing: %r", self._peer, problem)
                    continue
                self._deliver(self._endpoint._response(message, payload))  # noqa: SLF001
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


def _block(option: Any) -> Block | None:
    return None if option is None else Block(option.block_number, bool(option.more), option.size_exponent)


def _translate(problem: Any) -> Exception:
    """aiocoap's exceptions, some given as classes, as ours."""
    kind = problem if isinstance(problem, type) else type(problem)
    if issubclass(kind, error.ConRetransmitsExceeded):
        return NotAcknowledged("no acknowledgement after all retransmissions")
    if issubclass(kind, error.MessageError):
        return Reset("the peer answered RST")
    if issubclass(kind, error.LibraryShutdown):
        return Closed("the endpoint was shut down")
    return Closed(f"aiocoap gave up: {problem!r}")


async def resolve(uri: str) -> Address:
    """Address and port that a `coap://` URI names; ValueError for any other URI, OSError if the name is unknown."""
    parts = urlsplit(uri)
    if parts.scheme != "coap" or not parts.hostname:
        raise ValueError(f"not a coap:// URI: {uri!r}")
    port = COAP_PORT if parts.port is None else parts.port
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(parts.hostname)), port
    found: Sequence[Any] = await asyncio.get_running_loop().getaddrinfo(parts.hostname, port)
    host, port = found[0][4][:2]
    return host, port
