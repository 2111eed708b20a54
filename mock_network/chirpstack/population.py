"""Who lives in the emulated server's process: gateways and devices with modem ports, and the server's rows for them.

A population is a TOML file; all tables are optional:

    [server]                 # rows to begin with; without this table there is an empty tenant
    tenant = "demo"
    application = "demo"
    http = "http://127.0.0.1:9000/events"   # an HTTP integration
    [server.profile]         # fields of api.DeviceProfile, by their protobuf names
    rx1_delay = 3
    [server.join_server]     # a Join Server outside: it has the root keys, and the server never an AppSKey
    kek_label = "lwm2m"
    kek = "..."              # hexadecimal, 16, 24 or 32 bytes
    session_key_id = false   # true: it hands over an id of the AppSKey alone
    [[gateway]]
    gateway_id = "00000000000000a1"
    [[device]]               # as in a file of `lwm2m-bridge mock lorawan`
    dev_eui = "70b3d57ed0000001"
    app_key = "..."
    port = 5701              # of its modem; 0 or absent: any
    [[link]]
    dev_eui = "70b3d57ed0000001"
    gateway_id = "00000000000000a1"
    downlink_loss = 0.1
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chirpstack_api import api, common
from google.protobuf.json_format import ParseDict, ParseError

from mock_network.lorawan.device_config import Abp, DeviceConfig
from mock_network.lorawan.population import (
    Population as RadioPopulation,
    PopulationError,
    parse_population,
    read_tables,
)

from . import join
from .context import Context
from .join_server import JoinServer
from .model import DeviceKeys, DeviceProfile, Tenant

_MAC_VERSIONS = {
    "1.0.0": common.LORAWAN_1_0_0,
    "1.0.1": common.LORAWAN_1_0_1,
    "1.0.2": common.LORAWAN_1_0_2,
    "1.0.3": common.LORAWAN_1_0_3,
    "1.0.4": common.LORAWAN_1_0_4,
    "1.1.0": common.LORAWAN_1_1_0,
}


@dataclass(frozen=True, slots=True)
class Population:
    """The content of a file: devices, gateways, links, and the server's rows."""

    radio: RadioPopulation = field(default_factory=RadioPopulation)
    provision: bool = False
    tenant: str = "emulated"
    application: str = "emulated"
    http: str = ""
    profile: dict[str, Any] = field(default_factory=dict)
    join_server: JoinServer | None = None


def read(path: Path) -> Population:
    """Read a file. Raises PopulationError or OSError."""
    return read_tables(path, parse)


def parse(body: dict[str, Any]) -> Population:
    """Read the values of a file. Raises PopulationError."""
    radio = {name: rows for name, rows in body.items() if name != "server"}
    server = body.get("server", {})
    if not isinstance(server, dict) or set(server) - {"tenant", "application", "http", "profile", "join_server"}:
        raise PopulationError("[server] has tenant, application, http, profile and join_server")
    outside = _join_server(server["join_server"]) if "join_server" in server else None
    population = Population(parse_population(radio), "server" in body, **(server | {"join_server": outside}))
    _profile(population.profile)
    return population


def _profile(values: dict[str, Any]) -> api.DeviceProfile:
    try:
        return ParseDict(values, api.DeviceProfile())
    except ParseError as error:
        raise PopulationError(f"[server.profile] {error}") from error


def _join_server(values: dict[str, Any]) -> JoinServer:
    try:
        return JoinServer(**(values | {"kek": bytes.fromhex(values["kek"])}))
    except (KeyError, TypeError, ValueError) as error:
        raise PopulationError(f"[server.join_server] has kek_label, kek and session_key_id: {error}") from error


def give_first_tenant(context: Context) -> None:
    """Make the one row of a new ChirpStack, from its first migration: a tenant named ChirpStack."""
    context.tables.tenants.create(api.Tenant(name="ChirpStack", can_have_gateways=True), context.now)


def provision(context: Context, population: Population) -> str:
    """Make the rows and return the application's id; each kind of device (version, class, activation) has a profile."""
    tables, now = context.tables, context.now
    context.join_server = population.join_server
    tenant = tables.tenants.create(api.Tenant(name=population.tenant, can_have_gateways=True), now)
    application = tables.applications.create(
        api.Application(name=population.application, tenant_id=str(tenant.id)), now
    )
    if population.http:
        application.http = api.HttpIntegration(application_id=str(application.id), event_endpoint_url=population.http)
    for gateway in population.radio.gateways:
        message = api.Gateway(gateway_id=gateway.gateway_id, name=gateway.gateway_id, tenant_id=str(tenant.id))
        tables.gateways.create(message, now)
    profiles: dict[tuple[str, str, bool], DeviceProfile] = {}
    for config, _ in population.radio.devices:
        otaa = not isinstance(config.activation, Abp)
        kind = (config.mac_version, config.device_class, otaa)
        if kind not in profiles:
            profiles[kind] = _make_profile(context, population, tenant, kind)
        _make_device(context, config, str(application.id), profiles[kind])
    return str(application.id)


def _make_profile(
    context: Context, population: Population, tenant: Tenant, kind: tuple[str, str, bool]
) -> DeviceProfile:
    version, device_class, otaa = kind
    message = _profile(population.profile)
    message.name = f"LoRaWAN {version} class {device_class} {'OTAA' if otaa else 'ABP'}"
    message.tenant_id = str(tenant.id)
    message.region = context.region.common_name
    message.mac_version = _MAC_VERSIONS[version]
    message.supports_otaa = otaa
    message.supports_class_b = message.supports_class_b or device_class == "B"
    message.supports_class_c = message.supports_class_c or device_class == "C"
    return context.tables.profiles.create(message, context.now)


def _make_device(context: Context, config: DeviceConfig, application_id: str, profile: DeviceProfile) -> None:
    tables, now, activation = context.tables, context.now, config.activation
    message = api.Device(
        dev_eui=config.dev_eui,
        name=config.name or config.dev_eui,
        application_id=application_id,
        device_profile_id=str(profile.id),
    )
    if isinstance(activation, Abp):
        device = tables.devices.create(message, now)
        join.activate(context, device, activation.dev_addr, activation.keys)
        return
    message.join_eui = activation.join_eui.hex()
    tables.devices.create(message, now)
    # LoRaWAN 1.0.x has one root key, which is nwk_key in the server
    nwk_key = activation.nwk_key or activation.app_key
    if context.join_server is not None:
        context.join_server.keys[config.eui] = DeviceKeys(nwk_key, activation.app_key, bytes(16), now, now)
        return
    keys = api.DeviceKeys(dev_eui=config.dev_eui, nwk_key=nwk_key.hex(), app_key=activation.app_key.hex())
    tables.create_keys(keys, now)
