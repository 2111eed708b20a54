"""The interceptor of every gRPC method: the bearer token, the seeded call faults, and statuses of refusals."""

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import Message

from mock_network.faults import Fault, Faults

from .errors import Refused
from .faults import seconds_of

BEARER = "Bearer "
USERS_ONLY = frozenset({"GetVersion", "GetRegion", "ListRegions"})
"""A real server (v4.20) answers these to users who logged in, and UNAUTHENTICATED without a word to any API key."""
Sleep = Callable[[float], Awaitable[None]]


class Guard(grpc.aio.ServerInterceptor):
    """Server interceptor. `token` is the only valid API key; `sleep` waits on the emulator's clock.

    `user_token` is the token of a logged-in user.
    """

    def __init__(self, token: str, faults: Faults, sleep: Sleep = asyncio.sleep, user_token: str = "") -> None:
        self._token, self._faults, self._sleep = token, faults, sleep
        self._user_token = user_token

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Wrap the method's handler."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None  # grpc answers UNIMPLEMENTED
        method = handler_call_details.method.rsplit("/", 1)[-1]
        refusal = self._refusal(method, handler_call_details.invocation_metadata)
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(
                self._unary(handler.unary_unary, method, refusal),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return grpc.unary_stream_rpc_method_handler(
            self._stream(handler.unary_stream, method, refusal),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _refusal(self, method: str, metadata: Any) -> str | None:
        given = next((value for key, value in metadata or () if key == "authorization"), None)
        if given is None:
            return "no authorization provided"
        if not given.startswith(BEARER):
            return "authorization metadata must be in format 'Bearer <TOKEN>"
        token = given.removeprefix(BEARER).encode()
        if self._user_token and hmac.compare_digest(token, self._user_token.encode()):
            return None
        if not hmac.compare_digest(token, self._token.encode()):
            return "InvalidToken"
        return "" if method in USERS_ONLY else None

    def _unary(self, call: Any, method: str, refusal: str | None) -> Any:
        async def guarded(request: Any, context: Any) -> Any:
            if refusal is not None:
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, refusal)
            await self._before(method, request, context)
            try:
                answer = await call(request, context)
            except Refused as error:
                await context.abort(grpc.StatusCode[error.status.name], str(error))
            await self._after(method, request, context)
            return answer

        return guarded

    def _stream(self, call: Any, method: str, refusal: str | None) -> Any:
        async def guarded(request: Any, context: Any) -> AsyncIterator[Any]:
            if refusal is not None:
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, refusal)
            await self._before(method, request, context)
            try:
                async for answer in call(request, context):
                    yield answer
            except Refused as error:
                await context.abort(grpc.StatusCode[error.status.name], str(error))

        return guarded

    def _taken(self, name: str, method: str, request: Any) -> Fault | None:
        return self._faults.draw(name, dev_eui=_dev_eui_of(request), method=method)

    async def _before(self, method: str, request: Any, context: Any) -> None:
        slow = self._taken("grpc_slow", method, request)
        if slow:
            await self._sleep(seconds_of(slow))
        if self._taken("grpc_unavailable", method, request):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "connection refused")
        hang = self._taken("grpc_deadline", method, request)
        if hang:
            await self._hang(hang, context)

    async def _after(self, method: str, request: Any, context: Any) -> None:
        if self._taken("grpc_unavailable_after", method, request):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "connection reset")
        hang = self._taken("grpc_deadline_after", method, request)
        if hang:
            await self._hang(hang, context)

    async def _hang(self, fault: Fault, context: Any) -> None:
        await self._sleep(seconds_of(fault))
        await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "deadline exceeded")


def _dev_eui_of(request: Any) -> str:
    """Return the device that a call is about: named by the request itself, or by the one row that it carries."""
    carried = [value for field, value in request.ListFields() if isinstance(value, Message)]
    named = [getattr(one, "dev_eui", "") for one in (request, *carried)]
    return next((str(one).lower() for one in named if one), "")
