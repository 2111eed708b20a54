"""A ChirpStack without a radio, as light as can be: it takes downlinks, and its devices answer at once.

It speaks gRPC (HTTP/2) for the bare calls that the bridge is compared with, and gRPC-Web (HTTP/1.1) beside.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from chirpstack_api import api, common, integration
from google.protobuf.empty_pb2 import Empty

from benchmarks.wire import CONTENT, coap

APPLICATION = "00000000-0000-0000-0000-000000000001"
PROFILE = "00000000-0000-0000-0000-000000000002"
BARE = "ffffffffffffffff"  # the baseline's calls are for this device, and nothing follows them
EVENTS_PATH = "bench"
ANSWERED_BEFORE = 0.02  # seconds from a call to its transmission: a real ChirpStack has answered the call long before


class Network(api.DeviceServiceServicer):
    """Takes downlinks, and lets their devices answer."""

    def __init__(self, device_class: str) -> None:
        self._device_class = common.DeviceClass.Value(f"CLASS_{device_class}")
        self.calls = 0
        self.refused = 0
        self._number = 0
        self._f_cnt: dict[str, int] = {}
        self.posts: deque[bytes] = deque()
        self.free: list[Events] = []

    async def Enqueue(self, request: Any, _context: object) -> Any:  # noqa: N802  (the name in the .proto file)
        item = request.queue_item
        self.calls += 1
        self._number += 1
        handle = f"00000000-0000-0000-0000-{self._number:012d}"
        if item.dev_eui != BARE:
            loop = asyncio.get_running_loop()
            loop.call_later(ANSWERED_BEFORE, self._answer, item.dev_eui, item.data, handle)
        return api.EnqueueDeviceQueueItemResponse(id=handle)

    async def Get(self, request: Any, _context: object) -> Any:  # noqa: N802  (as above)
        device = api.Device(dev_eui=request.dev_eui, application_id=APPLICATION, device_profile_id=PROFILE)
        return api.GetDeviceResponse(device=device, class_enabled=self._device_class)

    def _answer(self, dev_eui: str, data: bytes, handle: str) -> None:
        info = integration.DeviceInfo(
            application_id=APPLICATION,
            device_profile_id=PROFILE,
            dev_eui=dev_eui,
            device_class_enabled=self._device_class,
        )
        self._post("txack", integration.TxAckEvent(device_info=info, queue_item_id=handle))
        if data[1] == 0:
            return
        token, mid = data[4 : 4 + (data[0] & 15)], data[2] << 8 | data[3]
        f_cnt = self._f_cnt[dev_eui] = self._f_cnt.get(dev_eui, -1) + 1
        up = integration.UplinkEvent(
            deduplication_id=f"{dev_eui}-{f_cnt}",
            device_info=info,
            dev_addr="01020304",
            dr=5,
            f_cnt=f_cnt,
            f_port=10,
            data=coap(2, 69, mid, token, CONTENT),
        )
        up.time.FromMicroseconds(time.time_ns() // 1000)
        self._post("up", up)

    def _post(self, kind: str, message: Any) -> None:
        body = message.SerializeToString()
        head = f"POST /{EVENTS_PATH}?event={kind} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/octet-stream\r\n"
        self.posts.append(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        if self.free:
            self.free.pop().post()


class Events(asyncio.Protocol):
    """One kept connection for events; the next one is posted when the one before is answered."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def connection_made(self, transport: Any) -> None:  # as below
        self._transport = transport
        self._network.free.append(self)

    def data_received(self, data: bytes) -> None:
        """Take an answer. It has no body: what it says is in its status."""
        if data.endswith(b"\r\n\r\n"):
            self._network.refused += not data.startswith(b"HTTP/1.1 200")
            self.post()

    def post(self) -> None:
        """Post the event that waits longest, if any."""
        if self._network.posts:
            self._transport.write(self._network.posts.popleft())
        else:
            self._network.free.append(self)


class Profiles(api.DeviceProfileServiceServicer):
    async def Get(self, _request: Any, _context: object) -> Any:  # noqa: N802  (as above)
        profile = api.DeviceProfile(id=PROFILE, region=common.EU868, flush_queue_on_activate=True)
        return api.GetDeviceProfileResponse(device_profile=profile)


class Internal(api.InternalServiceServicer):
    async def GetVersion(self, _request: Empty, _context: object) -> Any:  # noqa: N802  (as above)
        return api.GetVersionResponse(version="4.20.0")

    async def ListRegions(self, _request: Empty, _context: object) -> Any:  # noqa: N802  (as above)
        return api.ListRegionsResponse()


class Web(asyncio.Protocol):
    """One connection that speaks gRPC-Web: a method in the path, a message behind five bytes in the body."""

    def __init__(self, network: Network) -> None:
        profiles, internal = Profiles(), Internal()
        self._methods: dict[bytes, tuple[Any, Callable[[Any, Any], Awaitable[Any]]]] = {
            b"/api.DeviceService/Enqueue": (api.EnqueueDeviceQueueItemRequest, network.Enqueue),
            b"/api.DeviceService/Get": (api.GetDeviceRequest, network.Get),
            b"/api.DeviceProfileService/Get": (api.GetDeviceProfileRequest, profiles.Get),
            b"/api.InternalService/GetVersion": (Empty, internal.GetVersion),
            b"/api.InternalService/ListRegions": (Empty, internal.ListRegions),
        }
        self._rest = b""

    def connection_made(self, transport: Any) -> None:  # the selector loop's transport has no common class with others
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every whole request. The methods never wait, so that running one is stepping it once."""
        self._rest += data
        head, found, rest = self._rest.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(rest) < length:
            return
        self._rest = rest[length:]
        kind, method = self._methods[head.split(b" ", 2)[1]]
        try:
            method(kind.FromString(rest[5:length]), None).__await__().__next__()
        except StopIteration as done:
            message = done.value.SerializeToString()
        body = b"\0%b%b\x80\0\0\0\x0fgrpc-status:0\r\n" % (len(message).to_bytes(4), message)
        answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc-web+proto\r\ncontent-length: %d\r\n\r\n%b"
        self._transport.write(answer % (len(body), body))


async def serve(network: Network) -> tuple[grpc.aio.Server, str, asyncio.Server, str]:
    """Listen; return both servers with their addresses."""
    native = grpc.aio.server()
    api.add_DeviceServiceServicer_to_server(network, native)
    api.add_DeviceProfileServiceServicer_to_server(Profiles(), native)
    api.add_InternalServiceServicer_to_server(Internal(), native)
    address = f"127.0.0.1:{native.add_insecure_port('127.0.0.1:0')}"
    await native.start()
    web = await asyncio.get_running_loop().create_server(lambda: Web(network), "127.0.0.1", 0)
    return native, address, web, f"127.0.0.1:{web.sockets[0].getsockname()[1]}"
