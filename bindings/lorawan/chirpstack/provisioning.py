"""Creates what a device needs in ChirpStack: application, profile, device, root keys or session, HTTP integration.

Everything is looked up first, so that a second run changes nothing. Keys are never logged nor shown.
"""

from typing import Any

from chirpstack_api import api, common

from bindings.lorawan.chirpstack.client import ChirpStackClient
from bindings.lorawan.wanted_device import CLASS_C_TIMEOUT, Abp, Otaa, ProvisioningResult, WantedDevice
from bridge.errors import BindingError, CallFailed, CallTrouble, ConfigurationError

_PAGE = 100
MAC_VERSIONS = {
    "1.0.0": common.LORAWAN_1_0_0,
    "1.0.1": common.LORAWAN_1_0_1,
    "1.0.2": common.LORAWAN_1_0_2,
    "1.0.3": common.LORAWAN_1_0_3,
    "1.0.4": common.LORAWAN_1_0_4,
    "1.1.0": common.LORAWAN_1_1_0,
}
ABP_RX1_DELAY = 1  # seconds: RECEIVE_DELAY1 of all regions (RP002-1.0.4 §3)
_RX2_DR = {"US915": 8, "AU915": 8, "IN865": 2, **dict.fromkeys(("AS923", "AS923_2", "AS923_3", "AS923_4"), 2)}
"""Initial data rate of RX2 of a device (RP002-1.0.4 §2, RX2 of each region); in other regions 0."""
REVISIONS = {
    "1.0.0": common.A,
    "1.0.1": common.A,
    "1.0.2": common.B,
    "1.0.3": common.A,
    "1.0.4": common.RP002_1_0_3,
    "1.1.0": common.A,
}


async def provision(client: ChirpStackClient, wanted: WantedDevice) -> ProvisioningResult:
    """Make sure that the device exists as wanted.

    Raises ConfigurationError if the tenant is ambiguous, BindingError if ChirpStack refuses.
    """
    done = ProvisioningResult()
    try:
        tenant = await _application(client, wanted, done)
        await _profile(client, wanted, tenant, done)
        await _device(client, wanted, done)
        if isinstance(wanted.activation, Otaa):
            await _keys(client, wanted, wanted.activation, done)
        else:
            await _session(client, wanted, wanted.activation, done)
    except CallFailed as error:
        how = "cannot be asked" if error.out_of_reach else "refuses"
        raise BindingError(f"ChirpStack {how} to provision {wanted.device}: {error}{_so_far(done)}") from error
    except (BindingError, ConfigurationError) as error:
        raise type(error)(f"{error}{_so_far(done)}") from error
    return done


def _so_far(done: ProvisioningResult) -> str:
    if not done.changes:
        return ""
    return f"; made before that: {', '.join(done.changes)}; the same command makes the rest once the cause is mended"


async def set_integration(client: ChirpStackClient, application_id: str, url: str) -> bool:
    """Let an application's events be posted to `url`, in addition to other URLs; return whether that was new.

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
        found.integration.event_endpoint_url = ",".join(
            [url, *urls]
        )  # ChirpStack posts in order: the bridge's URL first
        await client.call(
            client.application.UpdateHttpIntegration, api.UpdateHttpIntegrationRequest(integration=found.integration)
        )
    except CallFailed as error:
        raise BindingError(f"ChirpStack refuses the HTTP integration: {error}") from error
    return True


async def devices_of(client: ChirpStackClient, application_id: str) -> list[api.DeviceListItem]:
    """Return all devices of an application. Raises BindingError."""
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


async def _or_none(call: Any) -> Any:
    try:
        return await call
    except CallFailed as error:
        if error.trouble is CallTrouble.NOT_FOUND:
            return None
        raise


async def _application(client: ChirpStackClient, wanted: WantedDevice, done: ProvisioningResult) -> str:
    """Find or make the application, and return its tenant's id."""
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
        raise ConfigurationError(f"ChirpStack has {len(listed)} tenants: choose one by its id (--tenant)")
    return str(listed[0].id)


async def _profile(client: ChirpStackClient, wanted: WantedDevice, tenant: str, done: ProvisioningResult) -> None:
    if wanted.profile_id:
        await client.get_profile(wanted.profile_id)
        done.profile_id = wanted.profile_id
        return
    otaa = isinstance(wanted.activation, Otaa)
    kind = "OTAA" if otaa else f"ABP rx1 {ABP_RX1_DELAY} s, then"
    name = f"LwM2M {wanted.region} {wanted.mac_version} class {wanted.device_class} {kind} rx1 {wanted.rx1_delay} s"
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
            flush_queue_on_activate=True,  # a new session begins with an empty queue, as the bridge expects
            supports_otaa=otaa,
            supports_class_b=wanted.device_class == "B",
            supports_class_c=wanted.device_class == "C",
            class_b_timeout=CLASS_C_TIMEOUT if wanted.device_class == "B" else 0,
            class_c_timeout=wanted.class_c_timeout if wanted.device_class == "C" else 0,
            rx1_delay=wanted.rx1_delay,
            # the initial parameters of a device; ChirpStack then sends it `rx1_delay` and its region's RX2
            abp_rx1_delay=0 if otaa else ABP_RX1_DELAY,
            abp_rx2_dr=0 if otaa else _RX2_DR.get(wanted.region, 0),
            uplink_interval=86400,
        )
        made = await client.call(client.profile.Create, api.CreateDeviceProfileRequest(device_profile=profile))
        same = [made.id]
        done.changes.append(f"device profile {name!r}")
    done.profile_id = same[0]


async def _device(client: ChirpStackClient, wanted: WantedDevice, done: ProvisioningResult) -> None:
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


async def _keys(client: ChirpStackClient, wanted: WantedDevice, otaa: Otaa, done: ProvisioningResult) -> None:
    # ChirpStack keeps the one root key of LoRaWAN 1.0.x as nwk_key.
    found = await _or_none(client.call(client.device.GetKeys, api.GetDeviceKeysRequest(dev_eui=wanted.device)))
    if not otaa.app_key:
        if found is not None:
            raise BindingError(
                f"ChirpStack has root keys of {wanted.device}, and answers its joins itself: delete them there first"
            )
        return
    new = wanted.mac_version == "1.1.0"
    keys = api.DeviceKeys(
        dev_eui=wanted.device,
        nwk_key=(otaa.nwk_key if new else otaa.app_key).lower(),
        app_key=otaa.app_key.lower() if new else "",
    )
    if found is None:
        await client.call(client.device.CreateKeys, api.CreateDeviceKeysRequest(device_keys=keys))
        done.changes.append("root keys")
        return
    there = found.device_keys
    if there.nwk_key != keys.nwk_key or (new and there.app_key != keys.app_key):
        keys.gen_app_key = there.gen_app_key
        await client.call(client.device.UpdateKeys, api.UpdateDeviceKeysRequest(device_keys=keys))
        done.changes.append("root keys, which were different")


async def _session(client: ChirpStackClient, wanted: WantedDevice, abp: Abp, done: ProvisioningResult) -> None:
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
            return  # activating it again would reset its counters and flush its queue
    await client.call(client.device.Activate, api.ActivateDeviceRequest(device_activation=activation))
    done.changes.append("session")
