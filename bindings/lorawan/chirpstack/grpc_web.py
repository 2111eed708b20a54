"""ChirpStack's API over gRPC-Web: the same methods and messages over HTTP/1.1, as its own web interface does.

The form is that of PROTOCOL-WEB.md of gRPC: a message, and at the end the trailers, are in the body, each after a flag
and a length. The HTTP client distinguishes for certain what was not sent from what was not answered.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote

import grpc
from google.protobuf.message import DecodeError

from bindings.http.client import ClientLimits, HttpClient, NoAnswer, NotSent, Origin
from bindings.http.exchange import Response
from bindings.lorawan.chirpstack.transport import GrpcFailed, may_have_acted, origin_of
from bindings.lorawan.settings import Api
from bindings.tls import client_context
from bridge.errors import ConfigurationError

_KIND = "application/grpc-web"
_LIMIT = 4 << 20  # bytes of one message, as in gRPC
_KEEPALIVE = 30.0  # seconds that an idle connection is kept: less than by reverse proxies
_HEAD = 5  # bytes before each message: a flag, and the length of what follows
_MESSAGE, _TRAILERS = 0x00, 0x80  # flags
_CODES = {str(code.value[0]): code for code in grpc.StatusCode}
_OK = b"grpc-status:0\r\n"  # the trailers that nearly every answer has
_GAVE_UP = (408, 499)  # statuses of proxies after a timeout
_NO_HEADERS: dict[str, str] = {}


class Method(NamedTuple):
    """One method of a service, for a generated stub."""

    path: str
    write: Callable[[Any], bytes]
    read: Callable[[bytes], Any]


class Methods:
    """A channel for generated stubs."""

    def unary_unary(
        self,
        path: str,
        request_serializer: Callable[[Any], bytes],
        response_deserializer: Callable[[bytes], Any],
        **_: Any,
    ) -> Method:
        return Method(path, request_serializer, response_deserializer)

    unary_stream = unary_unary


class GrpcWeb:
    """Calls over kept connections, one at a time on each."""

    channel = Methods()

    def __init__(self, settings: Api) -> None:
        """Open nothing yet. Raises ConfigurationError."""
        self._settings = settings
        self._free = asyncio.Semaphore(settings.connections)
        self._origin = origin_of(settings)
        headers = {
            "Content-Type": f"{_KIND}+proto",
            "Accept": f"{_KIND}+proto",
            "X-Grpc-Web": "1",
            "Authorization": f"Bearer {settings.key}",
        }
        limits = ClientLimits(settings.timeout, settings.timeout, _KEEPALIVE)
        context = client_context("api", settings.ca_bundle) if settings.tls else None
        try:
            self._client = HttpClient(limits, context, headers=headers)
        except ConfigurationError:
            raise ConfigurationError("api.key has characters that a header cannot carry") from None

    async def open(self) -> None:
        """Do nothing: connections are made when needed."""

    async def close(self) -> None:
        await self._client.close()

    async def call(self, method: Method, request: Any) -> Any:
        if self._free.locked():
            await self._wait_for_slot()
        else:
            await self._free.acquire()  # at once
        try:
            response = await self._client.request(
                "POST", self._origin, method.path, _NO_HEADERS, _framed(method.write(request)), _LIMIT
            )
        except (NotSent, NoAnswer) as error:
            raise _not_answered(error) from error
        finally:
            self._free.release()
        message = _message_of(response)
        try:
            return method.read(message)
        except DecodeError as error:
            raise GrpcFailed(grpc.StatusCode.INTERNAL, f"the answer cannot be read: {error}", unsure=True) from error

    def stream(self, method: Method, request: Any) -> "WebStream":
        return WebStream(self._client, self._origin, method, request)

    async def _wait_for_slot(self) -> None:
        try:
            async with asyncio.timeout(self._settings.timeout):
                await self._free.acquire()
        except TimeoutError:
            text = "all connections are in use: see api.connections"
            raise GrpcFailed(grpc.StatusCode.UNAVAILABLE, text, unsure=False, tried=False) from None


class WebStream:
    """One stream of messages."""

    def __init__(self, client: HttpClient, origin: Origin, method: Method, request: Any) -> None:
        self._read = method.read
        self._rest = bytearray()
        self._trailers: bytes | None = None
        self._broken: GrpcFailed | None = None
        self._arrived: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._answer = asyncio.ensure_future(
            client.request("POST", origin, method.path, _NO_HEADERS, _framed(method.write(request)), part=self._part)
        )
        self._answer.add_done_callback(self._ended)

    async def read(self) -> Any | None:
        message = await self._arrived.get()
        if message is not None:
            try:
                return self._read(message)
            except DecodeError as error:
                raise GrpcFailed(grpc.StatusCode.INTERNAL, f"a message cannot be read: {error}", unsure=True) from error
        self._arrived.put_nowait(None)  # it stays ended
        if self._broken is not None:
            raise self._broken
        try:
            response = self._answer.result()
        except (NotSent, NoAnswer) as error:
            raise _not_answered(error) from error
        _check(response, self._trailers)
        return None

    def cancel(self) -> None:
        self._answer.cancel()

    def _part(self, data: bytes) -> None:
        if self._broken is not None:
            return
        self._rest += data
        for flag, content in self._complete_messages():
            if flag & _TRAILERS:
                self._trailers = content
            else:
                self._arrived.put_nowait(content)

    def _complete_messages(self) -> Iterator[tuple[int, bytes]]:
        rest, at = self._rest, 0
        while len(rest) >= at + _HEAD:
            flag, end = rest[at], at + _HEAD + int.from_bytes(rest[at + 1 : at + _HEAD])
            if flag not in (_MESSAGE, _TRAILERS):
                self._break(grpc.StatusCode.UNAVAILABLE, "the answer is not gRPC-Web: this is not ChirpStack's API")
                return
            if end - at > _HEAD + _LIMIT:
                self._break(grpc.StatusCode.RESOURCE_EXHAUSTED, "a message is too large")
                return
            if len(rest) < end:
                break
            yield flag, bytes(rest[at + _HEAD : end])
            at = end
        del rest[:at]

    def _break(self, code: grpc.StatusCode, why: str) -> None:
        self._broken = GrpcFailed(code, why, unsure=True)
        self._answer.cancel()
        self._rest.clear()

    def _ended(self, answer: "asyncio.Future[Response]") -> None:
        if not answer.cancelled():
            answer.exception()  # raised when it is read
        self._arrived.put_nowait(None)


def _framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4) + message


def _message_of(response: Response) -> bytes:
    """Return the one message of an answer. Raises GrpcFailed."""
    body = response.body
    if body[:1] == b"\0":
        end = _HEAD + int.from_bytes(body[1:_HEAD])
        trailers = _trailers(body[end:])
        if trailers is not None:
            _check(response, trailers)
            return body[_HEAD:end]
    _check(response, _trailers(body))
    raise GrpcFailed(grpc.StatusCode.INTERNAL, "the answer holds no message", unsure=True)


def _trailers(rest: bytes) -> bytes | None:
    """Return the trailers in the rest of a body; None: it is something else, or incomplete."""
    return rest[_HEAD:] if rest[:1] == b"\x80" and len(rest) == _HEAD + int.from_bytes(rest[1:_HEAD]) else None


def _check(response: Response, trailers: bytes | None) -> None:
    """Raise GrpcFailed unless the answer says OK. A status without a message is in the headers."""
    if trailers == _OK:
        return
    said = response.headers if trailers is None else _lines(trailers)
    status = said.get("grpc-status")
    if status == "0":
        return
    if status is None:
        raise _no_grpc(response)
    code = _CODES.get(status, grpc.StatusCode.UNKNOWN)
    detail = unquote(said.get("grpc-message", ""))
    raise GrpcFailed(code, detail, unsure=may_have_acted(code, detail))


def _lines(trailers: bytes) -> dict[str, str]:
    found = {}
    for line in trailers.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        found[name.strip().lower()] = value.strip()
    return found


def _no_grpc(response: Response) -> GrpcFailed:
    """Return an error that says what answered, and whether ChirpStack may have got the call."""
    status, kind = response.status, response.headers.get("content-type", "")
    detail = f"HTTP {status}"
    match status:
        case 401:
            code = grpc.StatusCode.UNAUTHENTICATED
        case 403:
            code = grpc.StatusCode.PERMISSION_DENIED
        case 429:
            code = grpc.StatusCode.RESOURCE_EXHAUSTED
        case _ if kind.startswith(_KIND) and not response.whole:
            code = grpc.StatusCode.RESOURCE_EXHAUSTED
            detail += ": the answer is too large"
        case _:
            code = grpc.StatusCode.UNAVAILABLE
            if not kind.startswith(_KIND):
                detail += f" with {kind or 'no content type'}: this is not ChirpStack's API, or a proxy before it fails"
            else:
                detail += ": the answer is cut off"
    refused = 400 <= status < 500 and status not in _GAVE_UP  # noqa: PLR2004  # RFC 9110 §15.5
    return GrpcFailed(code, detail, unsure=not refused)


def _not_answered(error: NotSent | NoAnswer) -> GrpcFailed:
    late = isinstance(error.__cause__, TimeoutError) and isinstance(error, NoAnswer)
    code = grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.UNAVAILABLE
    return GrpcFailed(code, str(error), unsure=isinstance(error, NoAnswer))
