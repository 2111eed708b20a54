"""The emulated server as a whole: core, gRPC, broker, HTTP posts, control API; on loopback by default."""

import logging
from dataclasses import dataclass, field

import grpc
from aiohttp import web
from chirpstack_api import api

from mock_network.clock import current_clock
from mock_network.control_api import authority, listen
from mock_network.faults import Fault

from .api_admin import DeviceProfileService, GatewayService, TenantService
from .api_application import ApplicationService
from .api_device import DeviceService
from .api_internal import VERSION, InternalService
from .context import Effect, Event, Send
from .control import Control
from .driver import Driver
from .faults import make_faults
from .gateway_mqtt import GatewayMqtt
from .guard import Guard
from .integrations import HttpIntegration, Integrations, MqttIntegration
from .model import Settings
from .mqtt import BrokerAddress
from .network import NetworkServer
from .one_port import OnePort
from .radio_link import RadioLink

log = logging.getLogger(__name__)

STOP_GRACE = 0.2  # seconds that calls in progress get when the server stops


@dataclass(frozen=True, slots=True)
class Options:
    """How to run. Port 0 is any; without `mqtt` no broker is used."""

    grpc: tuple[str, int] = ("127.0.0.1", 0)
    control: tuple[str, int] = ("127.0.0.1", 0)
    token: str = "emulated"  # noqa: S105 - the API key of an emulator
    user_token: str = ""  # of a logged-in user; empty: none
    mqtt: BrokerAddress | None = None
    mqtt_qos: int = 0
    mqtt_json: bool = True
    gateway_mqtt: BrokerAddress | None = None
    seed: int = 1
    version: str = VERSION
    settings: Settings = field(default_factory=Settings)
    faults: tuple[Fault, ...] = ()


class ChirpStack:
    """One emulated server. Make it and use it within a running event loop."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.grpc_address = ""
        self.control_address = ""
        clock = current_clock()
        network = NetworkServer(
            options.settings, seed=options.seed, now=clock.wall(), faults=make_faults(options.seed, options.faults)
        )
        self.driver = Driver(network, self._carry_out, clock.wall)
        self.radio = RadioLink(self.driver)
        self.radio_control: web.Application | None = None  # routes of what is at the other end of `radio`
        self._http = HttpIntegration(self._http_settings, clock.wall)
        self._gateways: GatewayMqtt | None = None
        self._integrations: Integrations | None = None
        self._grpc: grpc.aio.Server | None = None
        self._port: OnePort | None = None
        self._control: web.AppRunner | None = None

    async def start(self) -> None:
        """Open everything; then `grpc_address` and `control_address` are known. Raises OSError or TimeoutError."""
        faults = self.driver.server.context.faults
        sinks: list[MqttIntegration | HttpIntegration] = [self._http]
        if self.options.mqtt is not None:
            sinks.append(
                MqttIntegration(
                    self.options.mqtt,
                    self.driver.command_down,
                    qos=self.options.mqtt_qos,
                    json=self.options.mqtt_json,
                )
            )
        self._integrations = Integrations(sinks, faults)
        try:
            await self._integrations.start()
            if self.options.gateway_mqtt is not None:
                prefix = self.driver.server.context.region.id
                self._gateways = GatewayMqtt(self.options.gateway_mqtt, self.driver, prefix)
                await self._gateways.start()
            await self._start_grpc(faults_guard=Guard(self.options.token, faults, user_token=self.options.user_token))
            await self._start_control()
        except BaseException:
            await self.stop()
            raise
        self.driver.start()

    async def stop(self) -> None:
        """Close everything."""
        await self.driver.stop()
        if self._grpc is not None:
            await self._grpc.stop(STOP_GRACE)
        if self._port is not None:
            await self._port.stop()
        if self._control is not None:
            await self._control.cleanup()
        if self._gateways is not None:
            await self._gateways.stop()
        if self._integrations is not None:
            await self._integrations.stop()

    async def _start_grpc(self, faults_guard: Guard) -> None:
        server = grpc.aio.server(interceptors=[faults_guard])
        api.add_DeviceServiceServicer_to_server(DeviceService(self.driver), server)  # type: ignore[no-untyped-call]
        api.add_TenantServiceServicer_to_server(TenantService(self.driver), server)  # type: ignore[no-untyped-call]
        profiles = DeviceProfileService(self.driver)
        api.add_DeviceProfileServiceServicer_to_server(profiles, server)  # type: ignore[no-untyped-call]
        api.add_GatewayServiceServicer_to_server(GatewayService(self.driver), server)  # type: ignore[no-untyped-call]
        applications = ApplicationService(self.driver, mqtt=self.options.mqtt is not None)
        api.add_ApplicationServiceServicer_to_server(applications, server)  # type: ignore[no-untyped-call]
        internal = InternalService(self.driver, self.options.version)
        api.add_InternalServiceServicer_to_server(internal, server)  # type: ignore[no-untyped-call]
        inner = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        self._grpc = server
        host, port = self.options.grpc
        self._port = OnePort(inner)
        self.grpc_address = authority(host, await self._port.start(host, port))

    async def _start_control(self) -> None:
        control = Control(self.driver, self._http.log, self.radio_control)
        self._control, bound = await listen(control.app(), self.options.control)
        self.control_address = f"http://{bound}"

    def _http_settings(self, event: Event) -> api.HttpIntegration | None:
        application = self.driver.server.context.tables.applications.rows.get(event.application_id)
        return application.http if application else None

    def _carry_out(self, effect: Effect) -> None:
        if isinstance(effect, Event):
            if self._integrations is not None:
                self._integrations.publish(effect)
        elif isinstance(effect, Send):
            self._transmit(effect)
        else:
            log.warning("%s", effect.text)

    def _transmit(self, effect: Send) -> None:
        gateway_id = effect.frame.gateway_id
        if self.radio.knows(gateway_id):
            self.radio.send(effect.frame)
        elif self._gateways is not None:
            self._gateways.send(effect.frame)
        else:
            log.warning("downlink for gateway %s dropped: it is not connected", gateway_id)
