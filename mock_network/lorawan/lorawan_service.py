"""Emulated devices and gateways for a network server behind an MQTT broker: a ChirpStack v4, real or emulated."""

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from mock_network.control_api import listen
from mock_network.lorawan.control import Control
from mock_network.lorawan.device_config import DeviceConfig
from mock_network.lorawan.gateway import GatewayConfig
from mock_network.lorawan.gateway_messages import GatewaySettings
from mock_network.lorawan.gateway_mqtt import DEFAULT_STATS_INTERVAL, Broker, MqttGateways
from mock_network.lorawan.radio_process import RadioProcess


@dataclass(frozen=True, slots=True)
class Options:
    """How to run. `links` are the bodies of action `link`, with the device's `dev_eui`."""

    broker: Broker
    gateways: tuple[GatewayConfig, ...]
    devices: tuple[tuple[DeviceConfig, int], ...] = ()  # with the port of the modem; 0: any
    links: tuple[dict[str, Any], ...] = ()
    control: tuple[str, int] = ("127.0.0.1", 0)
    modem_host: str = "127.0.0.1"
    seed: int = 1
    memory: Path | None = None


class LorawanService:
    """Everything of one process. Make it and use it within a running event loop."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.gateways = MqttGateways(options.broker)
        self.radio = RadioProcess(
            self.gateways, seed=options.seed, modem_host=options.modem_host, memory=options.memory
        )
        self.control_url = ""
        self._control: web.AppRunner | None = None
        self._stats: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Connect the gateways, then switch the devices on. Raises OSError (TimeoutError is one) or ValueError."""
        for config in self.options.gateways:
            await self.gateways.add(
                config.gateway_id, gps=config.gps, downlink=self.radio.downlink, configure=self._configure
            )
            self.radio.add_gateway(config)
            self._report(config.gateway_id, DEFAULT_STATS_INTERVAL)
        await self.radio.populate(self.options.devices, self.options.links)
        self._control, bound = await listen(Control(self.radio).app(), self.options.control)
        self.control_url = f"http://{bound}"

    async def stop(self) -> None:
        """Switch everything off."""
        for task in self._stats.values():
            task.cancel()
        await asyncio.gather(*self._stats.values(), return_exceptions=True)
        if self._control is not None:
            await self._control.cleanup()
        await self.radio.stop()
        await self.gateways.stop()

    def ready(self) -> dict[str, Any]:
        """Return the addresses for the user."""
        return {
            "control": self.control_url,
            "gateways": [g.gateway_id for g in self.options.gateways],
            "devices": {name: self.radio.modem.address(name) for name in self.radio.air.devices},
        }

    def _configure(self, gateway_id: str, settings: GatewaySettings) -> None:
        """Apply a network server's configuration of a gateway."""
        self.radio.air.gateways[gateway_id].frequencies = settings.frequencies
        if settings.stats_interval is not None:
            self._report(gateway_id, settings.stats_interval)

    def _report(self, gateway_id: str, interval: float) -> None:
        old = self._stats.pop(gateway_id, None)
        if old is not None:
            old.cancel()
        self._stats[gateway_id] = asyncio.create_task(self._publish_stats(gateway_id, interval))

    async def _publish_stats(self, gateway_id: str, interval: float) -> None:
        with contextlib.suppress(KeyError):  # the gateway was removed
            while True:
                emitted = self.radio.air.gateways[gateway_id].sent
                self.gateways[gateway_id].stats(self.radio.now(), emitted=emitted)
                await asyncio.sleep(interval)
