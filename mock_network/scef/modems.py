"""The modems of all UEs: a UDP port for data; on request, one for SMS and one for each pair of RDS ports."""

from collections.abc import Callable

from mock_network.modem import UdpModem
from mock_network.scef.core import Ue
from mock_network.scef.core.air import channel

Address = tuple[str, int]
DATA, SMS = "data", "sms"


class Modems:
    """`received` is called with UE, channel and datagram for each that an application sends."""

    def __init__(self, received: Callable[[str, str, bytes], None], host: str) -> None:
        self._udp = UdpModem(self._split, host)
        self._received = received
        self._channels: dict[str, list[str]] = {}

    async def open(self, ue: Ue, port: int = 0, sms_port: int | None = None) -> None:
        """Bind the ports of a UE: `port` for data, `sms_port` for SMS, if any; 0: any free one. Raises OSError."""
        wanted = {DATA: port} | ({} if sms_port is None else {SMS: sms_port})
        wanted |= {channel(pair): 0 for pair in ue.settings.rds_ports}
        self._channels[ue.name] = []
        for name, number in wanted.items():
            try:
                await self._udp.open(f"{name} {ue.name}", number)
            except (OSError, OverflowError, TypeError) as error:
                self.close(ue.name)
                raise OSError(f"no UDP port {number} for {ue.name} ({name}): {error}") from error
            self._channels[ue.name].append(name)

    def close(self, ue: str) -> None:
        """Close the ports of a UE."""
        for name in self._channels.pop(ue, ()):
            self._udp.close(f"{name} {ue}")

    def close_all(self) -> None:
        """Close all ports."""
        self._udp.close_all()
        self._channels.clear()

    def deliver(self, ue: str, name: str, data: bytes) -> bool:
        """Hand a datagram to the application on a channel; return False if none has ever sent from there."""
        return self._udp.deliver(f"{name} {ue}", data)

    def address(self, ue: str, name: str = DATA) -> Address | None:
        """Return where an application must send to."""
        return self._udp.address(f"{name} {ue}")

    def application(self, ue: str, name: str = DATA) -> Address | None:
        """Return where an application last sent from."""
        return self._udp.application(f"{name} {ue}")

    def channels(self, ue: str) -> dict[str, Address]:
        """Return the addresses of a UE by channel."""
        found = {name: self.address(ue, name) for name in self._channels.get(ue, ())}
        return {name: address for name, address in found.items() if address is not None}

    def _split(self, device: str, data: bytes) -> None:
        name, _, ue = device.partition(" ")
        self._received(ue, name, data)
