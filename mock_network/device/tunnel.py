"""Data of an application of the device, or of a device behind it, in object 19: the LwM2M client does not read them.

Whatever a server writes to instance 0 goes as a datagram to the application or device beyond; a datagram from there is
from then on the value of instance 1.
"""

import asyncio
from typing import Any, cast

from mock_network.device.tree import ObjectTree
from mock_network.lwm2m.definitions import APP_DATA
from mock_network.lwm2m.paths import Path
from mock_network.lwm2m.transport import Address

TO_BEYOND: Path = (APP_DATA, 0, 0, 0)
FROM_BEYOND: Path = (APP_DATA, 1, 0, 0)


class Tunnel(asyncio.DatagramProtocol):
    """A UDP socket whose only peer is what lies beyond. `open` it, `close` it."""

    def __init__(self, tree: ObjectTree, beyond: Address) -> None:
        self._tree, self._beyond = tree, beyond
        self._transport: asyncio.DatagramTransport | None = None

    async def open(self) -> None:
        """Bind the socket; OSError."""
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, remote_addr=self._beyond)

    def close(self) -> None:
        """Close the socket at once."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket."""
        self._transport = cast(asyncio.DatagramTransport, transport)  # it is one, but does not inherit from it

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:  # noqa: ARG002  # as asyncio has it
        """Keep what comes from beyond."""
        self._tree.set(FROM_BEYOND, data)

    def error_received(self, exc: Exception) -> None:
        """Ignore that nobody is there: the datagram is lost."""

    def written(self, path: Path) -> None:
        """Pass on what was written at `path`, if it is for what lies beyond."""
        value = self._tree.get(TO_BEYOND) if path in {TO_BEYOND, TO_BEYOND[:-1]} else None
        if isinstance(value, bytes) and self._transport is not None:
            self._transport.sendto(value)
