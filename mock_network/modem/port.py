"""The application side of a modem, whatever the network on its other side is."""

from collections.abc import Callable
from typing import Protocol

UplinkSink = Callable[[str, bytes], None]  # device, datagram; called for each datagram of a device's application


class Modem(Protocol):
    """The modems of all devices of one emulated network."""

    async def open(self, device: str, port: int = 0) -> tuple[str, int]:
        """Bind a device\'s address and begin to take datagrams there; port 0: any. Raises OSError if it is taken."""

    def close(self, device: str) -> None:
        """Remove the address of a device, if it has one."""

    def close_all(self) -> None:
        """Remove all addresses."""

    def deliver(self, device: str, data: bytes) -> bool:
        """Hand a downlink to the device's application; False if none has ever sent from there, so it is lost."""

    def address(self, device: str) -> tuple[str, int] | None:
        """Return where a device's application must send to."""

    def application(self, device: str) -> tuple[str, int] | None:
        """Return where a device's application last sent from."""
