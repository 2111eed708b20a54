"""CoAP requests in OSCORE that travel as values of a resource: who passes them on can neither read nor change them.

No I/O. The end that asks makes an `Asking`, the end that answers calls `answer`. Framing is CoAP's over UDP (RFC 7252
§3), with message ID 0 and without a token, since there is one request at a time.
"""

from collections.abc import Callable
from typing import Any

from mock_network.lwm2m.messages import Request, Response, dotted
from mock_network.lwm2m.oscore import FindContext, OscoreError, Refused, open_request, protect_request

NOT_PROTECTED = "4.01"


class Asking:
    """A protected request: `data` is what to send, `verify` takes what came back."""

    def __init__(self, context: Any, request: Request) -> None:
        from aiocoap.message import Message

        message = Message(code=dotted(request.code), payload=request.payload, uri_path=list(request.path))
        message.opt.echo = request.echo
        protected, self._verify = protect_request(context, message)
        self.data = _encoded(protected)

    def verify(self, data: bytes) -> Response:
        """Return the response to this request; OscoreError for anything else."""
        opened = self._verify(_decoded(data))
        return Response(opened.code.dotted, opened.payload, echo=opened.opt.echo)


def answer(data: bytes, find: FindContext, perform: Callable[[Request], Response]) -> bytes:
    """Carry out the request in `data` if it is protected, and return the response to send; OscoreError for no CoAP."""
    from aiocoap.message import Message

    message = _decoded(data)
    if message.opt.oscore is None:
        return _encoded(Message(code=dotted(NOT_PROTECTED)))
    try:
        opened = open_request(message, find)
    except Refused as refused:
        return _encoded(refused.response)
    inner = opened.message
    request = Request(inner.code.dotted, tuple(inner.opt.uri_path), (), inner.payload, echo=inner.opt.echo)
    response = perform(request)
    sealed = Message(code=dotted(response.code), payload=response.payload)
    sealed.opt.echo = response.echo
    return _encoded(opened.seal(sealed))


def _encoded(message: Any) -> bytes:
    from aiocoap.message import Direction
    from aiocoap.numbers.types import Type

    message.mid, message.token, message.mtype, message.direction = 0, b"", Type.NON, Direction.OUTGOING
    encoded: bytes = message.encode()
    return encoded


def _decoded(data: bytes) -> Any:
    from aiocoap.error import UnparsableMessage
    from aiocoap.message import Message

    try:
        return Message.decode(data)
    except UnparsableMessage:
        raise OscoreError("this is no CoAP message") from None
