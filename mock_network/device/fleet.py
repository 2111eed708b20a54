"""Many devices in one process."""

import asyncio
from collections.abc import Sequence

from mock_network.device.device import Device
from mock_network.device.options import DeviceOptions


class Fleet:
    """Devices by endpoint name."""

    def __init__(self) -> None:
        self.devices: dict[str, Device] = {}

    async def add(self, options: DeviceOptions) -> Device:
        """Start one more; ValueError if the name is taken or the URI is bad, OSError if it cannot listen."""
        if options.endpoint in self.devices:
            raise ValueError(f"there is a device {options.endpoint!r}")
        device = self.devices[options.endpoint] = Device(options)
        try:
            await device.start()
        except (OSError, ValueError):
            del self.devices[options.endpoint]
            raise
        return device

    async def add_all(self, many: Sequence[DeviceOptions], ramp: float = 0.0) -> None:
        """Start many, spread evenly over `ramp` seconds."""
        for options in many:
            await self.add(options)
            if ramp:
                await asyncio.sleep(ramp / len(many))

    async def remove(self, endpoint: str) -> None:
        """Stop a device, saying nothing to its server; KeyError."""
        await self.devices.pop(endpoint).stop()

    async def stop(self) -> None:
        """Stop all."""
        for endpoint in list(self.devices):
            await self.remove(endpoint)
