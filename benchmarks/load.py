"""The load side, in one thread on raw sockets: an SCEF, its devices, and an LwM2M server, all at full speed.

Latency of radio and server is zero, so that what is measured is the side under test alone.
"""

import base64
import json
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.wire import CONTENT, GET, OBSERVE, HttpConnection, coap, http_post, http_response, notification, notify

NOTIFICATION_CONNECTIONS = 32
MAXIMUM_PACKET_SIZE = 10864  # bits


@dataclass(slots=True)
class Device:
    """One emulated endpoint: where the server sees it, and what it sends."""

    number: int
    external_id: str
    configuration: str
    address: tuple[str, int] | None = None  # as the server sees it
    observe_token: bytes = b""  # the token that the device was given for its observation
    sequence: int = 2
    mid: int = 0


@dataclass(slots=True)
class Load:
    """Everything that talks to the side under test."""

    devices: list[Device]
    selector: Any = field(default_factory=selectors.DefaultSelector)
    scef: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0), backlog=256))
    server: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    callback: tuple[str, int, str] | None = None
    by_id: dict[str, Device] = field(default_factory=dict)
    by_configuration: dict[str, Device] = field(default_factory=dict)
    free: list[HttpConnection] = field(default_factory=list)
    waiting: list[bytes] = field(default_factory=list)
    answered: int = 0  # notifications answered 204
    refused: int = 0  # notifications answered otherwise
    received: int = 0  # requests, responses and notifications that the server got
    provisioned: int = 0
    first_provisioned: float = 0.0  # on the monotonic clock
    last_provisioned: float = 0.0
    open: int = 0  # connections for notifications
    on_response: Callable[[], None] | None = None
    holds: bool = False  # whether the SCEF leaves downlinks unanswered
    acknowledged: set[tuple[str, int]] = field(default_factory=set)  # addresses from which an Empty ACK came

    def __post_init__(self) -> None:
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.server.bind(("127.0.0.1", 0))
        self.server.setblocking(False)
        self.scef.setblocking(False)
        self.selector.register(self.scef, selectors.EVENT_READ, self._accept)
        self.selector.register(self.server, selectors.EVENT_READ, self._datagrams)
        self.by_id = {d.external_id: d for d in self.devices}
        self.by_configuration = {d.configuration: d for d in self.devices}

    @property
    def api_root(self) -> str:
        return f"http://127.0.0.1:{self.scef.getsockname()[1]}"

    @property
    def server_port(self) -> int:
        return int(self.server.getsockname()[1])

    def close(self) -> None:
        for key in list(self.selector.get_map().values()):
            self.selector.unregister(key.fileobj)
            key.fileobj.close()
        self.selector.close()

    def run_until(self, done: Callable[[], bool], seconds: float = 60.0) -> None:
        """Serve until `done()`; raises TimeoutError when that takes longer than `seconds`."""
        end = time.monotonic() + seconds
        while not done():
            for key, _ in self.selector.select(0.05):
                key.data(key.fileobj)
            if time.monotonic() > end:
                raise TimeoutError(f"answered {self.answered}, received {self.received}, refused {self.refused}")

    # -- SCEF ----------------------------------------------------------------------------------------------------

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                return
            self._adopt(sock, self._requests)

    def _adopt(self, sock: socket.socket, readable: Callable[[HttpConnection], None]) -> HttpConnection:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = HttpConnection(sock)
        self.selector.register(sock, selectors.EVENT_READ, lambda _sock: readable(connection))
        return connection

    def _requests(self, connection: HttpConnection) -> None:
        try:
            messages = connection.messages()
        except ConnectionError:
            self.selector.unregister(connection.sock)
            connection.sock.close()
            return
        for head, body in messages:
            answer = self._answer(head, body)
            if answer is not None:
                connection.sock.sendall(answer)

    def _answer(self, head: bytes, body: bytes) -> bytes | None:
        method, path, _ = head[: head.find(b"\r\n")].decode().split(" ")
        if method == "POST" and path.endswith("/downlink-data-deliveries"):
            if self.holds:
                return None
            self._delivered(self.by_configuration[path.split("/")[-2]], body)
            return http_response("200 OK", b'{"deliveryStatus":"SUCCESS_NEXT_HOP_UNACKNOWLEDGED"}')
        if method == "POST":
            return self._configured(path, json.loads(body))
        return http_response("200 OK", b"[]") if method == "GET" else http_response("405 Method Not Allowed")

    def _configured(self, path: str, wanted: dict[str, Any]) -> bytes:
        if self.callback is None:
            host, _, tail = wanted["notificationDestination"].removeprefix("http://").partition("/")
            name, _, port = host.rpartition(":")
            self.call_back(name, int(port), f"/{tail}")
        self.last_provisioned = time.monotonic()
        self.first_provisioned = self.first_provisioned or self.last_provisioned
        self.provisioned += 1
        link = f"{self.api_root}{path}/{self.by_id[wanted['externalId']].configuration}"
        made = {**wanted, "self": link, "maximumPacketSize": MAXIMUM_PACKET_SIZE, "status": "ACTIVE"}
        return http_response("201 Created", json.dumps(made).encode(), f"Location: {link}\r\n")

    def _delivered(self, device: Device, body: bytes) -> None:
        """A downlink reaches its device, which answers at once."""
        data = base64.b64decode(json.loads(body)["data"])
        if data[1] == 0:
            return  # an acknowledgement
        token_end = 4 + (data[0] & 15)
        token, mid = data[4:token_end], data[2] << 8 | data[3]
        observes = data[token_end] == OBSERVE[0]
        if observes:
            device.observe_token = token
        self.notify(device, coap(2, 69, mid, token, notify(1) if observes else CONTENT))

    # -- notifications -------------------------------------------------------------------------------------------

    def call_back(self, host: str, port: int, path: str) -> None:
        """Open the connections that notifications go over."""
        self.callback = (host, port, path)
        while self.open < NOTIFICATION_CONNECTIONS:
            self.free.append(self._adopt(socket.create_connection((host, port)), self._answers))
            self.open += 1

    def notify(self, device: Device, payload: bytes) -> None:
        """Post an uplink, on a free connection or when one is."""
        assert self.callback is not None
        host, port, path = self.callback
        link = f"{self.api_root}/3gpp-nidd/v1/bench/configurations/{device.configuration}"
        data = http_post(path, f"{host}:{port}", notification(link, device.external_id, payload))
        if not self.open:
            self.call_back(host, port, path)
        if self.free:
            self.free.pop().sock.sendall(data)
        else:
            self.waiting.append(data)

    def _answers(self, connection: HttpConnection) -> None:
        try:
            messages = connection.messages()
        except ConnectionError:  # idle for long: the listener has closed it, and the next message opens another
            self.selector.unregister(connection.sock)
            connection.sock.close()
            self.free.remove(connection)
            self.open -= 1
            return
        for head, _ in messages:
            if head.startswith(b"HTTP/1.1 204"):
                self.answered += 1
            else:
                self.refused += 1
            if self.waiting:
                connection.sock.sendall(self.waiting.pop())
            else:
                self.free.append(connection)

    def uplink(self, device: Device) -> None:
        """Send one NON notification of the device's observation."""
        device.sequence += 1
        device.mid = (device.mid + 1) & 0xFFFF
        self.notify(device, coap(1, 69, device.mid, device.observe_token, notify(device.sequence)))

    # -- LwM2M server --------------------------------------------------------------------------------------------

    def request(self, device: Device, mid: int, *, observe: bool = False) -> None:
        """Send a confirmable GET to the endpoint's own address."""
        assert device.address is not None
        token = device.number.to_bytes(4, "big") + mid.to_bytes(4, "big")
        self.server.sendto(coap(0, 1, mid, token, OBSERVE if observe else GET), device.address)

    def _datagrams(self, sock: socket.socket) -> None:
        for _ in range(256):
            try:
                data, remote = sock.recvfrom(2048)
            except BlockingIOError:
                return
            kind = data[0] >> 4 & 3
            if kind == 0:  # confirmable: acknowledged at once
                sock.sendto(coap(2, 0, data[2] << 8 | data[3], b""), remote)
            elif kind == 2 and not data[1]:
                self.acknowledged.add(remote)
            if data[1]:
                self.received += 1
                if self.on_response is not None:
                    self.on_response()
