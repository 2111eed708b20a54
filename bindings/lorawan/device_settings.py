"""Settings of a device that is to be created in the network server."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bindings.secret import Masked

_SECRET = {"secret": True}


class DeviceSettings(Masked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A LoRaWAN device, with its root keys (OTAA) or its session (ABP, with dev_addr)."""

    region: Annotated[str, Meta(description="the region, as the LoRaWAN standard names it")] = "EU868"
    mac_version: Annotated[
        Literal["1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4", "1.1.0"], Meta(description="version of LoRaWAN")
    ] = "1.0.3"
    device_class: Annotated[Literal["A", "B", "C"], Meta(description="device class")] = msgspec.field(
        default="A", name="class"
    )
    join_eui: Annotated[str, Meta(description="OTAA: JoinEUI, 16 hexadecimal digits; empty: zeros")] = ""
    app_key: Annotated[str, Meta(description="OTAA: root key, 32 hexadecimal digits", extra=_SECRET)] = ""
    nwk_key: Annotated[str, Meta(description="OTAA: root key of LoRaWAN 1.1", extra=_SECRET)] = ""
    join_server: Annotated[
        bool, Meta(description="OTAA: a Join Server has the root keys; the network server gets no root keys")
    ] = False
    dev_addr: Annotated[
        str, Meta(description="ABP: DevAddr, 8 hexadecimal digits; needs session keys instead of root keys")
    ] = ""
    app_s_key: Annotated[str, Meta(description="ABP: session key", extra=_SECRET)] = ""
    nwk_s_key: Annotated[str, Meta(description="ABP: session key of LoRaWAN 1.0.x", extra=_SECRET)] = ""
    f_nwk_s_int_key: Annotated[str, Meta(description="ABP: session key of LoRaWAN 1.1", extra=_SECRET)] = ""
    s_nwk_s_int_key: Annotated[str, Meta(description="ABP: session key of LoRaWAN 1.1", extra=_SECRET)] = ""
    nwk_s_enc_key: Annotated[str, Meta(description="ABP: session key of LoRaWAN 1.1", extra=_SECRET)] = ""
    kek: Annotated[
        str,
        Meta(
            description="ABP, end to end: label of the KEK (end_to_end.keks) under which the bridge keeps the AppSKey; "
            "the network server gets zeros instead"
        ),
    ] = ""
    application_id: Annotated[str, Meta(description="id of the application; empty: the configured one")] = ""
    application: Annotated[
        str, Meta(description="name of the application if no id is given; created if it does not exist")
    ] = "lwm2m"
    tenant_id: Annotated[str, Meta(description="id of the tenant, if the API key can see several")] = msgspec.field(
        default="", name="tenant"
    )
    profile_id: Annotated[
        str, Meta(description="id of a device profile; empty: the bridge creates one that suits LwM2M")
    ] = msgspec.field(default="", name="profile")
    rx1_delay: Annotated[int, Meta(ge=1, le=15, description="seconds between an uplink and the answer's window")] = 5
    class_c_timeout: Annotated[
        int, Meta(ge=1, le=3600, description="class C: seconds until a confirmed downlink counts as not acknowledged")
    ] = 30
