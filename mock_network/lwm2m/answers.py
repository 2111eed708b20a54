"""The server's role of a CoAP endpoint: requests whole, answers in blocks where needed, and notifications."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from aiocoap.message import Message
from aiocoap.numbers.codes import Code
from aiocoap.numbers.types import Type

from mock_network.lwm2m.blockwise import Block, Incomplete, TooLarge, Transfers
from mock_network.lwm2m.messages import Handler, Request, Response, Tuning, block_of, dotted
from mock_network.lwm2m.oscore import FindContext, Refused, open_request

_KNOWN = frozenset({3, 7, 9, 11, 15, 17, 23, 27})
"""Critical options that are known: Uri-Host, -Port, -Path and -Query, OSCORE, Accept, Block2 and Block1."""
_OF_PROXIES = frozenset({35, 39})  # Proxy-Uri, Proxy-Scheme (RFC 7252 §5.10.2)


class Answers:
    """What aiocoap calls a site: it has `handler` answer each request."""

    def __init__(self, handler: Handler, tuning: Tuning) -> None:
        self._handler, self._tuning = handler, tuning
        self.find_context: FindContext = lambda _kid, _context: None
        """Returns the OSCORE context for the kid and kid context of a request that arrives; None: there is none."""
        self._transfers = Transfers(asyncio.get_running_loop().time, tuning.block_exponent)
        self._observe_number = 0

    async def render_to_pipe(self, pipe: Any) -> None:
        """Answer a request, and send its notifications until cancelled; aiocoap calls this for each request."""
        if pipe.request.opt.oscore is None:
            await self._render(pipe, pipe.request, lambda answer: answer, None)
            return
        try:
            opened = open_request(pipe.request, self.find_context)
        except Refused as refused:
            pipe.add_response(refused.response, is_last=True)
            return
        await self._render(pipe, opened.message, opened.seal, opened.context)

    async def _render(self, pipe: Any, message: Any, seal: Callable[[Any], Any], context: Any) -> None:
        """Answer `message`; `seal` gives each answer the protection of the request, `context` verified it."""

        def answer_with(answer: Any, *, is_last: bool) -> None:
            pipe.add_response(seal(answer), is_last=is_last)

        unknown = unknown_critical(message)
        if unknown is not None:
            if message.mtype is not Type.NON:  # a NON is ignored
                text = f"critical option {unknown} is not known"
                code = Code.PROXYING_NOT_SUPPORTED if unknown in _OF_PROXIES else Code.BAD_OPTION
                answer_with(Message(code=code, payload=text.encode()), is_last=True)
            return
        try:
            request = self._assemble(message, context)
        except (Incomplete, TooLarge) as problem:
            answer_with(self._refused(problem), is_last=True)
            return
        if request is None:
            block = block_of(message.opt.block1)
            answer = Message(code=Code.CONTINUE)
            if block is not None:  # §2.5: a smaller size in the answer is what the peer continues with
                answer.opt.block1 = (block.number, block.more, min(block.exponent, self._tuning.block_exponent))
            answer_with(answer, is_last=True)
            return
        wanted = block_of(message.opt.block2)
        if wanted is not None and wanted.number > 0:
            answer_with(self._later_block(message, wanted), is_last=True)
            return
        response = await self._handler(request)
        subscription = response.subscription
        if subscription is None:
            answer_with(self._answer(message, request, response, wanted), is_last=True)
            return
        try:
            answer_with(self._answer(message, request, response, wanted, self._next_observe_number()), is_last=False)
            async with contextlib.aclosing(subscription.notifications()) as notifications:  # type: ignore[type-var]
                async for notification in notifications:
                    last = not notification.ok
                    number = None if last else self._next_observe_number()
                    answer_with(self._answer(message, request, notification, wanted, number), is_last=last)
                    if last:
                        return
        finally:
            subscription.closed()

    def _refused(self, problem: Incomplete | TooLarge) -> Any:
        if isinstance(problem, Incomplete):
            return Message(code=Code.REQUEST_ENTITY_INCOMPLETE)
        answer = Message(code=Code.REQUEST_ENTITY_TOO_LARGE)
        if problem.hint:  # §2.9.3
            answer.opt.block1 = (0, False, self._tuning.block_exponent)
        return answer

    def _next_observe_number(self) -> int:
        """Rises over all observations, so that it also rises when one is renewed (RFC 7641 §4.4: 24 bits)."""
        self._observe_number = (self._observe_number + 1) % (1 << 24)
        return self._observe_number

    def _assemble(self, message: Any, context: Any) -> Request | None:
        """Return the request with its whole body, None while blocks are to come."""
        payload: bytes | None = message.payload
        block = block_of(message.opt.block1)
        if block is not None:
            payload = self._transfers.take_block1(self._key(message), block, message.payload)
            if payload is None:
                return None
        elif self._tuning.max_request is not None and len(payload or b"") > self._tuning.max_request:
            raise TooLarge(hint=True)
        return request_of(message, payload or b"", context)

    @staticmethod
    def _key(message: Any) -> tuple[object, ...]:
        return message.remote.address, message.code.dotted, message.opt.uri_path, message.opt.uri_query

    def _later_block(self, message: Any, wanted: Block) -> Any:
        try:
            payload, block, (code, content_format) = self._transfers.later_block2(self._key(message), wanted)
        except Incomplete:
            return Message(code=Code.REQUEST_ENTITY_INCOMPLETE)
        answer = Message(code=code, payload=payload)
        answer.opt.content_format = content_format
        answer.opt.block2 = (block.number, block.more, block.exponent)
        return answer

    def _answer(
        self, message: Any, request: Request, response: Response, wanted: Block | None, observe: int | None = None
    ) -> Any:
        head = dotted(response.code), response.content_format
        payload, block = self._transfers.first_block2(self._key(message), wanted, response.payload, head)
        # The first answer takes over the type of its exchange; a notification says for itself.
        confirmable = response.confirmable if request.observe == 0 else None
        answer = Message(
            code=dotted(response.code),
            payload=payload,
            transport_tuning=self._tuning.for_aiocoap(confirmable=confirmable),
        )
        answer.opt.content_format = response.content_format
        answer.opt.location_path = response.location
        answer.opt.max_age = response.max_age
        answer.opt.echo = response.echo
        answer.opt.observe = observe
        if block is not None:
            answer.opt.block2 = (block.number, block.more, block.exponent)
        if message.opt.block1 is not None:
            answer.opt.block1 = message.opt.block1
        return answer


def unknown_critical(message: Any) -> int | None:
    """Return the number of a critical option that is not known here: the request is refused (RFC 7252 §5.4.1)."""
    numbers = (int(option.number) for option in message.opt.option_list())
    return next((number for number in numbers if number & 1 and number not in _KNOWN), None)


def request_of(message: Any, payload: bytes, context: Any = None) -> Request:
    """Read a request that arrived; `payload` is its whole body, `context` the OSCORE context that verified it."""
    return Request(
        code=message.code.dotted,
        path=tuple(message.opt.uri_path),
        query=tuple(message.opt.uri_query),
        payload=payload,
        content_format=None if message.opt.content_format is None else int(message.opt.content_format),
        accept=None if message.opt.accept is None else int(message.opt.accept),
        observe=message.opt.observe,
        confirmable=message.mtype is Type.CON,
        host=message.opt.uri_host,
        echo=message.opt.echo,
        security=context,
        peer=message.remote.address,
        mid=message.mid,
        token=message.token,
    )
