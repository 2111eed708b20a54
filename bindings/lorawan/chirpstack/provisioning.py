"""Makes what a device needs in ChirpStack: application, device profile, device, root keys or session, HTTP integration.

Everything is looked for first, so that doing it twice changes nothing. Keys are never logged nor shown.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import grpc
from chirpstack_api import api, common

from bindings.lorawan.chirpstack.client import ChirpStackClient
from bindings.lorawan.chirpstack.transport import CallFailed
from bridge.errors import BindingError, ConfigurationError

RX1_DELAY = 5  # seconds: a server's answer to a Register makes the window that its uplink opened
CLASS_C_TIMEOUT = 30  # seconds until a confirmed downlink counts as not acknowledged; 0 would nack it at once
_PAGE = 100
MAC_VERSIONS = {
    "1.0.0": common.LORAWAN_1_0_0,
    "1.0.1": common.LORAWAN_1_0_1,
    "1.0.2": common.LORAWAN_1_0_2,
    "1.0.3": common.LORAWAN_1_0_3,
    "1.0.4": common.LORAWAN_1_0_4,
    "1.1.0": common.LORAWAN_1_1_0,
}
REVISIONS = {
    "1.0.0": common.A,
    "1.0.1": common.A,
    "1.0.2": common.B,
    "1.0.3": common.A,
    "1.0.4": common.RP002_1_0_3,
    "1.1.0": common.A,
}


@dataclass(frozen=True, slots=True)
class Otaa:
    """Root keys of a device that joins, as hexadecimal digits. 1.0.x has the AppKey alone."""

    app_key: str = field(repr=False)
    nwk_key: str = field(default="", repr=False)
    join_eui: str = "0000000000000000"


@dataclass(frozen=True, slots=True)
class Abp:
    """A session given by hand, as hexadecimal digits. 1.0.x has one network key, 1.1 three."""

    dev_addr: str
    app_s_key: str = field(repr=False)
    nwk_s_key: str = field(default="", repr=False)
    f_nwk_s_int_key: str = field(default="", repr=False)
    s_nwk_s_int_key: str = field(default="", repr=False)
    nwk_s_enc_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A device as it shall be, `device` in canonical form.

    Without `application_id` the application is found or made by its name, without `profile_id` a profile that fits.
    """

    device: str
    activation: Otaa | Abp
    name: str = ""
    application_id: str = ""
    application: str = "lwm2m"
    tenant_id: str = ""
    profile_id: str = ""
    region: str = "EU868"
    mac_version: str = "1.0.3"
    device_class: Literal["A", "B", "C"] = "A"
    rx1_delay: int = RX1_DELAY
    class_c_timeout: int = CLASS_C_TIMEOUT


@dataclass(slots=True)
class Provisioned:
    """What there is now, and in `changes` what was made or changed for it, in words."""

    application_id: str = ""
    profile_id: str = ""
    changes: list[str] = field(default_factory=list)


_OTAA = {False: ("app_key",), True: ("app_key", "nwk_key")}
_ABP = {
    False: ("dev_addr", "nwk_s_key", "app_s_key"),
    True: ("dev_addr", "f_nwk_s_int_key", "s_nwk_s_int_key", "nwk_s_enc_key", "app_s_key"),
}
"""What an activation needs, without and with LoRaWAN 1.1."""


def read_wanted(fields: Mapping[str, Any]) -> Wanted:
    """Make a Wanted of plain values; with `dev_addr` it is ABP, else OTAA; empty ones count as not given.

    Raises ConfigurationError.
    """
    given = {name: value for name, value in fields.items() if value not in ("", None)}
    kind = Abp if "dev_addr" in given else Otaa
    keys = {name: given.pop(name) for name in [*Otaa.__slots__, *Abp.__slots__] if name in given}
    new = given.get("mac_version") == "1.1.0"
    needed = _ABP[new] if kind is Abp else _OTAA[new]
    if any(name not in keys for name in needed):
        raise ConfigurationError(
            f"OTAA needs {_flags(_OTAA[new])} (file:PATH or env:NAME); ABP needs {_flags(_ABP[new])}"
        )
    if foreign := [name for name in keys if name not in kind.__slots__]:
        raise ConfigurationError(f"keys that do not fit {kind.__name__.upper()}: {_flags(foreign)}")
    try:
        return Wanted(activation=kind(**keys), **given)
    except TypeError as error:
        raise ConfigurationError(f"no field of a device: {error}") from error


def _flags(names: Iterable[str]) -> str:
    return ", ".join("--" + name.replace("_", "-") for name in names)


async def provision(client: ChirpStackClient, wanted: Wanted) -> Provisioned:
    """See to it that the device is there as wanted.

    Raises ConfigurationError for what cannot be wanted, BindingError for what ChirpStack refuses.
    """
    _check(wanted)
    done = Provisioned()
    try:
        tenant = await _application(client, wanted, done)
        await _profile(client, wanted, tenant, done)
        await _device(client, wanted, done)
        if isinstance(wanted.activation, Otaa):
            await _keys(client, wanted, wanted.activation, done)
        else:
            await _session(client, wanted, wanted.activation, done)
    except CallFailed as error:
        made = f"; done before: {', '.join(done.changes)}" if done.changes else ""
        how = "cannot be asked" if error.out_of_reach else "refuses"
        raise BindingError(f"ChirpStack {how} to provision {wanted.device}: {error}{made}") from error
    return done


async def set_integration(client: ChirpStackClient, application_id: str, url: str) -> bool:
    """Have an application's events posted to `url`, beside where they go already; whether that was new.

    Raises BindingError.
    """
    if not application_id:
        raise BindingError("set application_id first: an integration belongs to an application")
    try:
        found = await _or_none(
            client.call(
                client.application.GetHttpIntegration, api.GetHttpIntegrationRequest(application_id=application_id)
            )
        )
        if found is None:
            integration = api.HttpIntegration(
                application_id=application_id, event_endpoint_url=url, encoding=api.PROTOBUF
            )
            await client.call(
                client.application.CreateHttpIntegration, api.CreateHttpIntegrationRequest(integration=integration)
            )
            return True
        urls = [one.strip() for one in found.integration.event_endpoint_url.split(",") if one.strip()]
        if url in urls:
            return False
        found.integration.event_endpoint_url = ",".join([url, *urls])  # served in order: ours first
        await client.call(
            client.application.UpdateHttpIntegration, api.UpdateHttpIntegrationRequest(integration=found.integration)
        )
    except CallFailed as error:
        raise BindingError(f"ChirpStack refuses the HTTP integration: {error}") from error
    return True


async def devices_of(client: ChirpStackClient, application_id: str) -> list[api.DeviceListItem]:
    """Give all devices of an application. Raises BindingError."""
    if not application_id:
        raise BindingError("set application_id first: devices are adopted from one application")
    found: list[api.DeviceListItem] = []
    try:
        while True:
            request = api.ListDevicesRequest(application_id=application_id, limit=_PAGE, offset=len(found))
            answer: api.ListDevicesResponse = await client.call(client.device.List, request)
            found += answer.result
            if not answer.result or len(found) >= answer.total_count:
                return found
    except CallFailed as error:
        raise BindingError(f"ChirpStack does not list the devices: {error}") from error


def _check(wanted: Wanted) -> None:
    if wanted.mac_version not in MAC_VERSIONS:
        raise ConfigurationError(f"LoRaWAN version {wanted.mac_version!r}: one of {', '.join(MAC_VERSIONS)}")
    if wanted.region not in common.Region.keys():  # noqa: SIM118  (no mapping)
        raise ConfigurationError(f"region {wanted.region!r}: one of {', '.join(common.Region.keys())}")
    new = wanted.mac_version == "1.1.0"
    activation = wanted.activation
    if isinstance(activation, Otaa):
        _hex("join_eui", activation.join_eui, 8)
        _hex("app_key", activation.app_key, 16)
        if new:
            _hex("nwk_key", activation.nwk_key, 16)
        elif activation.nwk_key:
            raise ConfigurationError("nwk_key: LoRaWAN 1.0.x has the AppKey alone")
        return
    _hex("dev_addr", activation.dev_addr, 4)
    _hex("app_s_key", activation.app_s_key, 16)
    for name in ("f_nwk_s_int_key", "s_nwk_s_int_key", "nwk_s_enc_key") if new else ("nwk_s_key",):
        _hex(name, getattr(activation, name), 16)


def _hex(name: str, value: str, length: int) -> None:
    if not re.fullmatch(f"[0-9a-fA-F]{{{2 * length}}}", value):
        raise ConfigurationError(f"{name}: {2 * length} hexadecimal digits are needed")


async def _or_none(call: Any) -> Any:
    try:
        return await call
    except CallFailed as error:
        if error.code is grpc.StatusCode.NOT_FOUND:
            return None
        raise


async def _application(client: ChirpStackClient, wanted: Wanted, done: Provisioned) -> str:
    """Find or make the application; gives its tenant's id."""
    if wanted.application_id:
        found = await client.call(client.application.Get, api.GetApplicationRequest(id=wanted.application_id))
        done.application_id = wanted.application_id
        return str(found.application.tenant_id)
    tenant = wanted.tenant_id or await _only_tenant(client)
    request = api.ListApplicationsRequest(tenant_id=tenant, search=wanted.application, limit=_PAGE)
    listed = (await client.call(client.application.List, request)).result
    same = [one.id for one in listed if one.name == wanted.application]
    if not same:
        application = api.Application(name=wanted.application, tenant_id=tenant, description="LwM2M devices")
        made = await client.call(client.application.Create, api.CreateApplicationRequest(application=application))
        same = [made.id]
        done.changes.append(f"application {wanted.application!r}")
    done.application_id = same[0]
    return tenant


async def _only_tenant(client: ChirpStackClient) -> str:
    listed = (await client.call(client.tenant.List, api.ListTenantsRequest(limit=_PAGE))).result
    if not listed:
        raise ConfigurationError("ChirpStack has no tenant that the API key can see: make one, or use another key")
    if len(listed) > 1:
        raise ConfigurationError(f"ChirpStack has {len(listed)} tenants: say which by its id (--tenant)")
    return str(listed[0].id)


async def _profile(client: ChirpStackClient, wanted: Wanted, tenant: str, done: Provisioned) -> None:
    if wanted.profile_id:
        await client.get_profile(wanted.profile_id)
        done.profile_id = wanted.profile_id
        return
    otaa = isinstance(wanted.activation, Otaa)
    name = (
        f"LwM2M {wanted.region} {wanted.mac_version} class {wanted.device_class} {'OTAA' if otaa else 'ABP'}"
        f" rx1 {wanted.rx1_delay} s"
    )
    request = api.ListDeviceProfilesRequest(tenant_id=tenant, search=name, limit=_PAGE)
    listed = (await client.call(client.profile.List, request)).result
    same = [one.id for one in listed if one.name == name]
    if not same:
        profile = api.DeviceProfile(
            name=name,
            tenant_id=tenant,
            description="made by lwm2m-bridge device add",
            region=wanted.region,
            mac_version=MAC_VERSIONS[wanted.mac_version],
            reg_params_revision=REVISIONS[wanted.mac_version],
            adr_algorithm_id="default",
            payload_codec_runtime=api.NONE,
            flush_queue_on_activate=True,  # a new session begins with an empty queue, and the bridge knows it
            supports_otaa=otaa,
            supports_class_b=wanted.device_class == "B",
            supports_class_c=wanted.device_class == "C",
            class_b_timeout=CLASS_C_TIMEOUT if wanted.device_class == "B" else 0,
            class_c_timeout=wanted.class_c_timeout if wanted.device_class == "C" else 0,
            rx1_delay=wanted.rx1_delay,
            abp_rx1_delay=0 if otaa else wanted.rx1_delay,
            uplink_interval=86400,
        )
        made = await client.call(client.profile.Create, api.CreateDeviceProfileRequest(device_profile=profile))
        same = [made.id]
        done.changes.append(f"device profile {name!r}")
    done.profile_id = same[0]


async def _device(client: ChirpStackClient, wanted: Wanted, done: Provisioned) -> None:
    join_eui = wanted.activation.join_eui.lower() if isinstance(wanted.activation, Otaa) else ""
    found = await _or_none(client.get_device(wanted.device))
    if found is None:
        device = api.Device(
            dev_eui=wanted.device,
            name=wanted.name or wanted.device,
            application_id=done.application_id,
            device_profile_id=done.profile_id,
            join_eui=join_eui,
        )
        await client.call(client.device.Create, api.CreateDeviceRequest(device=device))
        done.changes.append(f"device {wanted.device}")
        return
    device = found.device
    if device.application_id != done.application_id:
        raise BindingError(
            f"device {wanted.device} is in another ChirpStack application ({device.application_id}); remove it there"
        )
    if (device.device_profile_id, device.join_eui or join_eui) != (done.profile_id, join_eui or device.join_eui):
        device.device_profile_id = done.profile_id
        device.join_eui = join_eui or device.join_eui
        await client.call(client.device.Update, api.UpdateDeviceRequest(device=device))
        done.changes.append(f"device {wanted.device}: profile and JoinEUI")


async def _keys(client: ChirpStackClient, wanted: Wanted, otaa: Otaa, done: Provisioned) -> None:
    # ChirpStack keeps the one root key of LoRaWAN 1.0.x as nwk_key.
    new = wanted.mac_version == "1.1.0"
    keys = api.DeviceKeys(
        dev_eui=wanted.device,
        nwk_key=(otaa.nwk_key if new else otaa.app_key).lower(),
        app_key=otaa.app_key.lower() if new else "",
    )
    found = await _or_none(client.call(client.device.GetKeys, api.GetDeviceKeysRequest(dev_eui=wanted.device)))
    if found is None:
        await client.call(client.device.CreateKeys, api.CreateDeviceKeysRequest(device_keys=keys))
        done.changes.append("root keys")
        return
    there = found.device_keys
    if there.nwk_key != keys.nwk_key or (new and there.app_key != keys.app_key):
        keys.gen_app_key = there.gen_app_key
        await client.call(client.device.UpdateKeys, api.UpdateDeviceKeysRequest(device_keys=keys))
        done.changes.append("root keys, which were others")


async def _session(client: ChirpStackClient, wanted: Wanted, abp: Abp, done: Provisioned) -> None:
    old = abp.nwk_s_key
    activation = api.DeviceActivation(
        dev_eui=wanted.device,
        dev_addr=abp.dev_addr.lower(),
        app_s_key=abp.app_s_key.lower(),
        f_nwk_s_int_key=(abp.f_nwk_s_int_key or old).lower(),
        s_nwk_s_int_key=(abp.s_nwk_s_int_key or old).lower(),
        nwk_s_enc_key=(abp.nwk_s_enc_key or old).lower(),
    )
    request = api.GetDeviceActivationRequest(dev_eui=wanted.device)
    found = await _or_none(client.call(client.device.GetActivation, request))
    if found is not None and found.HasField("device_activation"):
        there = found.device_activation
        names = ("dev_addr", "app_s_key", "f_nwk_s_int_key", "s_nwk_s_int_key", "nwk_s_enc_key")
        if all(getattr(there, name) == getattr(activation, name) for name in names):
            return  # activating it again would put its counters back and flush its queue
    await client.call(client.device.Activate, api.ActivateDeviceRequest(device_activation=activation))
    done.changes.append("session")
