"""ChirpStack's API over gRPC itself: HTTP/2, by grpc.aio."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar

import grpc

from bindings.lorawan.chirpstack.transport import GrpcFailed, may_have_acted, origin_of
from bindings.lorawan.settings import Api
from bindings.tls import client_context

_OPTIONS = (
    ("grpc.enable_retries", 0),  # a retry by gRPC would be invisible to the ledger
    ("grpc.max_reconnect_backoff_ms", 5000),
    ("grpc.keepalive_time_ms", 30000),
)

_Answer = TypeVar("_Answer")


class NativeGrpc:
    """One channel."""

    def __init__(self, settings: Api) -> None:
        """Open nothing yet. Raises ConfigurationError."""
        origin_of(settings)
        self._settings = settings
        self._credentials = _credentials(settings) if settings.tls else None
        self._metadata = (("authorization", f"Bearer {settings.key}"),)
        self.channel: Any = None
        self._closed = False

    async def open(self) -> None:
        settings = self._settings
        if self._credentials is None:
            self.channel = grpc.aio.insecure_channel(settings.server, options=_OPTIONS)
        else:
            self.channel = grpc.aio.secure_channel(settings.server, self._credentials, options=_OPTIONS)

    async def close(self) -> None:
        self._closed = True
        await self.channel.close()

    async def call(self, method: Any, request: Any) -> Any:
        self._check_open()
        connected = self.channel.get_state() is grpc.ChannelConnectivity.READY
        return await _told(method(request, metadata=self._metadata, timeout=self._settings.timeout), connected)

    def stream(self, method: Any, request: Any) -> "NativeStream":
        self._check_open()
        return NativeStream(method(request, metadata=self._metadata))

    def _check_open(self) -> None:
        if self._closed:
            raise GrpcFailed(grpc.StatusCode.UNAVAILABLE, "the client is closed", unsure=False)


class NativeStream:
    """One stream of messages."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def read(self) -> Any | None:
        message = await _told(self._call.read(), connected=True)
        return None if message is grpc.aio.EOF else message

    def cancel(self) -> None:
        self._call.cancel()


def _credentials(settings: Api) -> grpc.ChannelCredentials:
    """Read the trusted authorities; they are checked as for any client. Raises ConfigurationError."""
    client_context("api", settings.ca_bundle)
    return grpc.ssl_channel_credentials(Path(settings.ca_bundle).read_bytes() if settings.ca_bundle else None)


async def _told(result: Awaitable[_Answer], connected: bool) -> _Answer:
    """Return what a call returns. Raises GrpcFailed."""
    try:
        return await result
    except grpc.aio.AioRpcError as error:
        raise _failure(error, connected=connected) from error
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # `close` cancels running calls, and thereby their callers, as if the callers were cancelled.
        raise GrpcFailed(grpc.StatusCode.UNAVAILABLE, "the client was closed", unsure=True) from None


def _failure(error: grpc.aio.AioRpcError, *, connected: bool) -> GrpcFailed:
    code, detail = error.code(), error.details() or ""
    # Without a connection the request was never sent; with one that is unknown.
    never_left = not connected and code is grpc.StatusCode.UNAVAILABLE and "connect" in detail
    return GrpcFailed(code, detail, unsure=may_have_acted(code, detail) and not never_left)
