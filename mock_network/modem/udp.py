"""A UDP port on loopback for each device."""

import asyncio
import logging
from typing import Any, cast

from mock_network.modem.port import UplinkSink

log = logging.getLogger(__name__)


class _Port(asyncio.DatagramProtocol):
    def __init__(self, device: str, uplink: UplinkSink) -> None:
        self.transport: asyncio.DatagramTransport | None = None
        self.peer: tuple[str, int] | None = None
        self._device = device
        self._uplink = uplink

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)  # it is one, but does not inherit from it

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self.peer = (str(addr[0]), addr[1])
        if data:  # an empty datagram only says where the application is, so that it can be reached
            self._uplink(self._device, data)

    def error_received(self, exc: Exception) -> None:
        log.info("modem of %s: its application is not there: %s", self._device, exc)


class UdpModem:
    """A `Modem` whose devices have UDP ports at `host`; to be used on one event loop."""

    def __init__(self, uplink: UplinkSink, host: str = "127.0.0.1") -> None:
        self._uplink = uplink
        self._host = host
        self._ports: dict[str, _Port] = {}

    async def open(self, device: str, port: int = 0) -> tuple[str, int]:
        """Bind the UDP port of a device. Raises OSError if it is taken."""
        self.close(device)
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_datagram_endpoint(
            lambda: _Port(device, self._uplink), local_addr=(self._host, port)
        )
        self._ports[device] = protocol
        address = self.address(device)
        if address is None:
            raise OSError(f"the UDP port of {device} was closed at once")
        return address

    def close(self, device: str) -> None:
        """Close the UDP port of a device."""
        port = self._ports.pop(device, None)
        if port is not None and port.transport is not None:
            port.transport.close()

    def close_all(self) -> None:
        """Close all UDP ports."""
        for device in list(self._ports):
            self.close(device)

    def deliver(self, device: str, data: bytes) -> bool:
        """Send a downlink to the last source address of the device's application."""
        port = self._ports.get(device)
        if port is None or port.transport is None or port.peer is None:
            return False
        port.transport.sendto(data, port.peer)
        return True

    def address(self, device: str) -> tuple[str, int] | None:
        """Return the bound address."""
        port = self._ports.get(device)
        if port is None or port.transport is None:
            return None
        name = port.transport.get_extra_info("sockname")
        return (str(name[0]), int(name[1])) if name else None

    def application(self, device: str) -> tuple[str, int] | None:
        """Return the last source address."""
        port = self._ports.get(device)
        return port.peer if port is not None else None
