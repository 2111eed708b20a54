"""Typed calls of ChirpStack's gRPC API, and what their failures prove."""

import contextlib
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any, TypeVar

import grpc
from chirpstack_api import api
from google.protobuf.empty_pb2 import Empty

from bindings.lorawan.settings import Api
from bridge.errors import ConfigurationError

_Answer = TypeVar("_Answer")
_DETAIL = 200  # characters of a peer's text kept in rows and logs
_PROVES_NOTHING = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.DATA_LOSS,
    }
)


def _read(path: str) -> bytes | None:
    return Path(path).read_bytes() if path else None


class CallFailed(Exception):
    """A call had no result. `unsure`: nobody knows whether ChirpStack acted on it; else it did not."""

    def __init__(self, code: grpc.StatusCode, detail: str, *, unsure: bool) -> None:
        super().__init__(f"{code.name}: {detail}"[:_DETAIL])
        self.code = code
        self.unsure = unsure
        self.for_users_only = code is grpc.StatusCode.UNAUTHENTICATED and not detail

    @property
    def out_of_reach(self) -> bool:
        """Whether ChirpStack, or what stands before it, could not be reached or did not answer."""
        return self.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class ChirpStackClient:
    """One channel with its stubs. Every method raises CallFailed and nothing else."""

    def __init__(self, settings: Api) -> None:
        self._settings = settings
        self.up: bool | None = None  # whether the last call was answered; None: none was made
        self.calls = 0
        self.failures = 0
        self._metadata = (("authorization", f"Bearer {settings.key}"),)

    async def open(self) -> None:
        """Make the channel; it connects with the first call. Raises ConfigurationError."""
        options = (
            ("grpc.enable_retries", 0),  # a retry of ours would be invisible to the ledger
            ("grpc.max_reconnect_backoff_ms", 5000),
            ("grpc.keepalive_time_ms", 30000),
        )
        if self._settings.tls:
            try:
                roots = _read(self._settings.ca_bundle)
            except OSError as error:
                raise ConfigurationError(f"api.ca_bundle: {error}") from error
            credentials = grpc.ssl_channel_credentials(roots)
            self._channel = grpc.aio.secure_channel(self._settings.server, credentials, options=options)
        else:
            self._channel = grpc.aio.insecure_channel(self._settings.server, options=options)
        # The generated stubs have no annotations.
        self.device: Any = api.DeviceServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self.profile: Any = api.DeviceProfileServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self.application: Any = api.ApplicationServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self.tenant: Any = api.TenantServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self.internal: Any = api.InternalServiceStub(self._channel)  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """Close the channel; calls under way fail."""
        await self._channel.close()

    async def call(self, method: Any, request: Any) -> Any:
        """Make one unary call. Raises CallFailed."""
        connected = self._channel.get_state() is grpc.ChannelConnectivity.READY
        self.calls += 1
        return await self._told(
            method(request, metadata=self._metadata, timeout=self._settings.timeout), connected=connected
        )

    async def _told(self, call: Awaitable[_Answer], *, connected: bool) -> _Answer:
        try:
            answer = await call
        except grpc.aio.AioRpcError as error:
            failed = self._failure(error, connected=connected)
            self.failures += not failed.for_users_only  # a good key is not told the version: nothing has failed
            raise failed from error
        self.up = True
        return answer

    def _failure(self, error: grpc.aio.AioRpcError, *, connected: bool) -> CallFailed:
        code, detail = error.code(), error.details() or ""
        # Without a connection the request never left this machine; afterwards nobody can tell.
        never_left = not connected and code is grpc.StatusCode.UNAVAILABLE and "connect" in detail
        failed = CallFailed(code, detail, unsure=code in _PROVES_NOTHING and not never_left)
        self.up = not failed.out_of_reach
        return failed

    # What the binding asks

    async def version(self) -> str:
        """Give ChirpStack's version; empty if it does not tell an API key, which it accepts otherwise.

        Seen at a real v4.20: a method for users only is UNAUTHENTICATED without a word to a good key, a bad key is told
        what is wrong with it.
        """
        try:
            answer: api.GetVersionResponse = await self.call(self.internal.GetVersion, Empty())
        except CallFailed as error:
            if error.for_users_only:
                return ""
            raise
        return answer.version

    async def enqueue(self, item: api.DeviceQueueItem, *, flush: bool) -> str:
        """Add an item to a device's queue; gives the id that ChirpStack made for it."""
        request = api.EnqueueDeviceQueueItemRequest(queue_item=item, flush_queue=flush)
        answer: api.EnqueueDeviceQueueItemResponse = await self.call(self.device.Enqueue, request)
        return answer.id

    async def queue(self, device: str) -> list[api.DeviceQueueItem]:
        """Give a device's queue, oldest first."""
        answer: api.GetDeviceQueueItemsResponse = await self.call(
            self.device.GetQueue, api.GetDeviceQueueItemsRequest(dev_eui=device)
        )
        return list(answer.result)

    async def flush(self, device: str) -> None:
        """Drop a device's whole queue."""
        await self.call(self.device.FlushQueue, api.FlushDeviceQueueRequest(dev_eui=device))

    async def get_device(self, device: str) -> api.GetDeviceResponse:
        """Give a device with its class and when it was last heard."""
        found: api.GetDeviceResponse = await self.call(self.device.Get, api.GetDeviceRequest(dev_eui=device))
        return found

    async def get_profile(self, identifier: str) -> api.DeviceProfile:
        """Give a device profile."""
        answer: api.GetDeviceProfileResponse = await self.call(
            self.profile.Get, api.GetDeviceProfileRequest(id=identifier)
        )
        return answer.device_profile

    async def get_region(self, identifier: str) -> api.GetRegionResponse:
        """Give a region's configuration."""
        found: api.GetRegionResponse = await self.call(self.internal.GetRegion, api.GetRegionRequest(id=identifier))
        return found

    async def regions(self) -> list[api.RegionListItem]:
        """Give the enabled regions."""
        answer: api.ListRegionsResponse = await self.call(self.internal.ListRegions, Empty())
        return list(answer.regions)

    async def events(self, device: str, patience: float, *, expected: bool) -> AsyncIterator[api.LogItem]:
        """Give what is retained of a device's events, oldest first, until nothing more comes for `patience` seconds.

        `expected`: something is retained, so that the first one is waited for as long as for any answer.
        """
        import asyncio

        wait = max(patience, self._settings.timeout) if expected else patience
        stream = self.internal.StreamDeviceEvents(
            api.StreamDeviceEventsRequest(dev_eui=device), metadata=self._metadata
        )
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        item = await stream.read()
                    if item is grpc.aio.EOF:
                        return
                    self.up = True
                    wait = patience
                    yield item
                    continue
                return
        except grpc.aio.AioRpcError as error:
            raise self._failure(error, connected=True) from error
        finally:
            stream.cancel()
