"""Typed calls of ChirpStack's gRPC API, and what their failures prove."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import grpc
from chirpstack_api import api
from google.protobuf.empty_pb2 import Empty

from bindings.lorawan.chirpstack.grpc_web import GrpcWeb
from bindings.lorawan.chirpstack.native_grpc import NativeGrpc
from bindings.lorawan.chirpstack.shown import device_in, shown_message
from bindings.lorawan.chirpstack.transport import GrpcFailed, Transport
from bindings.lorawan.settings import Api
from bindings.shown_calls import Seen

_HISTORY = 16 << 20  # bytes of one device's events; ten events of some kilobytes are usual, 1000 are a lot
_SMALL = 1024  # bytes that a smaller event is counted as


class ChirpStackClient:
    """The stubs of one ChirpStack. Every method raises GrpcFailed and nothing else."""

    def __init__(self, settings: Api) -> None:
        """Open nothing yet. Raises ConfigurationError."""
        self._timeout = settings.timeout
        self._transport: Transport = GrpcWeb(settings) if settings.transport == "grpc-web" else NativeGrpc(settings)
        self.up: bool | None = None  # whether the last call was answered; None: none was made
        self.seen: Seen | None = None  # shows calls about a device
        self.calls = 0
        self.failures = 0

    async def open(self) -> None:
        """Make the stubs; they connect with the first call."""
        await self._transport.open()
        channel = self._transport.channel
        # The generated stubs have no annotations.
        self.device: Any = api.DeviceServiceStub(channel)  # type: ignore[no-untyped-call]
        self.profile: Any = api.DeviceProfileServiceStub(channel)  # type: ignore[no-untyped-call]
        self.application: Any = api.ApplicationServiceStub(channel)  # type: ignore[no-untyped-call]
        self.tenant: Any = api.TenantServiceStub(channel)  # type: ignore[no-untyped-call]
        self.internal: Any = api.InternalServiceStub(channel)  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """Close all connections; calls under way fail."""
        await self._transport.close()

    async def call(self, method: Any, request: Any) -> Any:
        """Make one unary call. Raises GrpcFailed."""
        self.calls += 1
        began = self._seconds()
        try:
            answer = await self._transport.call(method, request)
        except GrpcFailed as error:
            self._show(request, f"{error}", began)
            if error.tried:
                self.up = not error.out_of_reach
            self.failures += not error.for_users_only  # a valid key may not read the version: nothing has failed
            raise
        self.up = True
        if self.seen is not None:
            self._show(request, shown_message(answer), began)
        return answer

    def _show(self, request: Any, outcome: str, began: float) -> None:
        device = device_in(request)
        if self.seen is not None and device:
            self.seen(device, f"{shown_message(request)} → {outcome} ({self._seconds() - began:.3f} s)")

    @staticmethod
    def _seconds() -> float:
        return asyncio.get_running_loop().time()

    # For the binding

    async def version(self) -> str:
        """Return ChirpStack's version; empty if it does not report it to an API key that is otherwise valid.

        Seen at a real v4.20: to a method for users only, a valid key gets UNAUTHENTICATED without a message; an
        invalid key gets a message.
        """
        try:
            answer: api.GetVersionResponse = await self.call(self.internal.GetVersion, Empty())
        except GrpcFailed as error:
            if error.for_users_only:
                return ""
            raise
        return answer.version

    async def enqueue(self, item: api.DeviceQueueItem, *, flush: bool) -> str:
        """Add an item to a device's queue; return the id that ChirpStack made for it."""
        request = api.EnqueueDeviceQueueItemRequest(queue_item=item, flush_queue=flush)
        answer: api.EnqueueDeviceQueueItemResponse = await self.call(self.device.Enqueue, request)
        return answer.id

    async def next_f_cnt_down(self, device: str) -> int:
        """Return the frame counter for a downlink that the application encrypts."""
        answer: api.GetDeviceNextFCntDownResponse = await self.call(
            self.device.GetNextFCntDown, api.GetDeviceNextFCntDownRequest(dev_eui=device)
        )
        return answer.f_cnt_down

    async def queue(self, device: str) -> list[api.DeviceQueueItem]:
        """Return a device's queue, oldest first."""
        answer: api.GetDeviceQueueItemsResponse = await self.call(
            self.device.GetQueue, api.GetDeviceQueueItemsRequest(dev_eui=device)
        )
        return list(answer.result)

    async def flush(self, device: str) -> None:
        """Drop a device's whole queue."""
        await self.call(self.device.FlushQueue, api.FlushDeviceQueueRequest(dev_eui=device))

    async def get_device(self, device: str) -> api.GetDeviceResponse:
        """Return a device with its class and when it was last heard."""
        found: api.GetDeviceResponse = await self.call(self.device.Get, api.GetDeviceRequest(dev_eui=device))
        return found

    async def get_activation(self, device: str) -> api.GetDeviceActivationResponse:
        """Return a device's session, with its keys."""
        request = api.GetDeviceActivationRequest(dev_eui=device)
        found: api.GetDeviceActivationResponse = await self.call(self.device.GetActivation, request)
        return found

    async def get_profile(self, identifier: str) -> api.DeviceProfile:
        """Return a device profile."""
        answer: api.GetDeviceProfileResponse = await self.call(
            self.profile.Get, api.GetDeviceProfileRequest(id=identifier)
        )
        return answer.device_profile

    async def get_region(self, identifier: str) -> api.GetRegionResponse:
        """Return a region's configuration."""
        found: api.GetRegionResponse = await self.call(self.internal.GetRegion, api.GetRegionRequest(id=identifier))
        return found

    async def regions(self) -> list[api.RegionListItem]:
        """Return the enabled regions."""
        answer: api.ListRegionsResponse = await self.call(self.internal.ListRegions, Empty())
        return list(answer.regions)

    async def events(self, device: str, patience: float, *, expected: bool) -> AsyncGenerator[api.LogItem]:
        """Return the retained events of a device, oldest first, until nothing more comes for `patience` seconds.

        `expected`: there are retained events, so that the first one is waited for as long as for any answer.
        An endless history fails.
        """
        wait = max(patience, self._timeout) if expected else patience
        left = _HISTORY
        stream = self._transport.stream(self.internal.StreamDeviceEvents, api.StreamDeviceEventsRequest(dev_eui=device))
        try:
            while True:
                try:
                    async with asyncio.timeout(wait):
                        item = await stream.read()
                except TimeoutError:
                    return
                if item is None:
                    return
                self.up = True
                wait = patience
                left = _left_after(item, left)
                yield item
        except GrpcFailed as error:
            self.up = not error.out_of_reach
            raise
        finally:
            stream.cancel()


def _left_after(item: api.LogItem, left: int) -> int:
    """Count an event of a history. Raises GrpcFailed if that is too much."""
    left -= max(item.ByteSize(), _SMALL)
    if left < 0:
        raise GrpcFailed(grpc.StatusCode.RESOURCE_EXHAUSTED, "the history has no end", unsure=False)
    return left
