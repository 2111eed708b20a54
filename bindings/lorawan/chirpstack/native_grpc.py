"""ChirpStack's API over gRPC itself: HTTP/2, by grpc.aio."""

from pathlib import Path
from typing import Any

import grpc

from bindings.lorawan.chirpstack.transport import PROVES_NOTHING, CallFailed
from bindings.lorawan.settings import Api
from bridge.errors import ConfigurationError

_OPTIONS = (
    ("grpc.enable_retries", 0),  # a retry of ours would be invisible to the ledger
    ("grpc.max_reconnect_backoff_ms", 5000),
    ("grpc.keepalive_time_ms", 30000),
)


class NativeGrpc:
    """One channel."""

    def __init__(self, settings: Api) -> None:
        self._settings = settings
        self._metadata = (("authorization", f"Bearer {settings.key}"),)
        self.channel: Any = None

    async def open(self) -> None:
        settings = self._settings
        if not settings.tls:
            self.channel = grpc.aio.insecure_channel(settings.server, options=_OPTIONS)
            return
        try:
            roots = _read(settings.ca_bundle)
        except OSError as error:
            raise ConfigurationError(f"api.ca_bundle: {error}") from error
        credentials = grpc.ssl_channel_credentials(roots)
        self.channel = grpc.aio.secure_channel(settings.server, credentials, options=_OPTIONS)

    async def close(self) -> None:
        await self.channel.close()

    async def call(self, method: Any, request: Any) -> Any:
        connected = self.channel.get_state() is grpc.ChannelConnectivity.READY
        try:
            return await method(request, metadata=self._metadata, timeout=self._settings.timeout)
        except grpc.aio.AioRpcError as error:
            raise _failure(error, connected=connected) from error

    def stream(self, method: Any, request: Any) -> "NativeStream":
        return NativeStream(method(request, metadata=self._metadata))


class NativeStream:
    """One stream of messages."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def read(self) -> Any | None:
        try:
            message = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise _failure(error, connected=True) from error
        return None if message is grpc.aio.EOF else message

    def cancel(self) -> None:
        self._call.cancel()


def _read(path: str) -> bytes | None:
    return Path(path).read_bytes() if path else None


def _failure(error: grpc.aio.AioRpcError, *, connected: bool) -> CallFailed:
    code, detail = error.code(), error.details() or ""
    # Without a connection the request never left this machine; afterwards nobody can tell.
    never_left = not connected and code is grpc.StatusCode.UNAVAILABLE and "connect" in detail
    return CallFailed(code, detail, unsure=code in PROVES_NOTHING and not never_left)
