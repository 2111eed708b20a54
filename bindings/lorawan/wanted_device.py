"""The wanted state of a device in the network server: its identity, and its keys or its session.

Keys are never logged nor shown.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bridge.errors import ConfigurationError

RX1_DELAY = 5  # seconds: a server's answer to a Register comes in time for the window that its uplink opened
CLASS_C_TIMEOUT = 30  # seconds until a confirmed downlink counts as not acknowledged; 0 would nack it at once
MAC_VERSIONS = ("1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4", "1.1.0")
REGIONS = (
    "EU868", "US915", "CN779", "EU433", "AU915", "CN470", "AS923", "AS923_2", "AS923_3", "AS923_4", "KR920", "IN865",
    "RU864", "ISM2400",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Otaa:
    """Root keys of a device that joins, as hexadecimal digits. 1.0.x has only the AppKey.

    Empty: a Join Server has them.
    """

    app_key: str = field(default="", repr=False)
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
class WantedDevice:
    """A device as wanted, `device` in canonical form.

    Without `application_id` the application is found or created by its name; without `profile_id` a suitable profile
    is.
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
class ProvisioningResult:
    """The state after provisioning, and in `changes` descriptions of what was created or changed."""

    application_id: str = ""
    profile_id: str = ""
    changes: list[str] = field(default_factory=list)


_OTAA = {False: ("app_key",), True: ("app_key", "nwk_key")}
_ABP = {
    False: ("dev_addr", "nwk_s_key", "app_s_key"),
    True: ("dev_addr", "f_nwk_s_int_key", "s_nwk_s_int_key", "nwk_s_enc_key", "app_s_key"),
}
"""Keys that an activation needs, without and with LoRaWAN 1.1."""


def read_wanted_device(fields: Mapping[str, Any]) -> WantedDevice:
    """Make a Wanted from plain values; with `dev_addr` it is ABP, else OTAA. Empty values count as not given.

    Raises ConfigurationError.
    """
    given = {name: value for name, value in fields.items() if value not in ("", None)}
    kind = Abp if "dev_addr" in given else Otaa
    keys = {name: given.pop(name) for name in [*Otaa.__slots__, *Abp.__slots__] if name in given}
    new = given.get("mac_version") == "1.1.0"
    outside = given.pop("join_server", False)
    if outside and (kind is Abp or set(keys) - {"join_eui"}):
        raise ConfigurationError("join_server: the Join Server has the root keys, so none can be given here")
    needed = _ABP[new] if kind is Abp else () if outside else _OTAA[new]
    if any(name not in keys for name in needed):
        raise ConfigurationError(
            f"OTAA needs {_flags(_OTAA[new])} (file:PATH or env:NAME); ABP needs {_flags(_ABP[new])}"
        )
    if foreign := [name for name in keys if name not in kind.__slots__]:
        raise ConfigurationError(f"keys that do not fit {kind.__name__.upper()}: {_flags(foreign)}")
    try:
        return _check(WantedDevice(activation=kind(**keys), **given))
    except TypeError as error:
        raise ConfigurationError(f"unknown field of a device: {error}") from error


def _flags(names: Iterable[str]) -> str:
    return ", ".join("--" + name.replace("_", "-") for name in names)


def _check(wanted: WantedDevice) -> WantedDevice:
    if wanted.mac_version not in MAC_VERSIONS:
        raise ConfigurationError(f"LoRaWAN version {wanted.mac_version!r}: one of {', '.join(MAC_VERSIONS)}")
    if wanted.region not in REGIONS:
        raise ConfigurationError(f"region {wanted.region!r}: one of {', '.join(REGIONS)}")
    new = wanted.mac_version == "1.1.0"
    activation = wanted.activation
    if isinstance(activation, Otaa):
        _hex("join_eui", activation.join_eui, 8)
        if not activation.app_key:
            return wanted
        _hex("app_key", activation.app_key, 16)
        if new:
            _hex("nwk_key", activation.nwk_key, 16)
        elif activation.nwk_key:
            raise ConfigurationError("nwk_key: LoRaWAN 1.0.x has only the AppKey")
        return wanted
    _hex("dev_addr", activation.dev_addr, 4)
    _hex("app_s_key", activation.app_s_key, 16)
    for name in ("f_nwk_s_int_key", "s_nwk_s_int_key", "nwk_s_enc_key") if new else ("nwk_s_key",):
        _hex(name, getattr(activation, name), 16)
    return wanted


def _hex(name: str, value: str, length: int) -> None:
    if not re.fullmatch(f"[0-9a-fA-F]{{{2 * length}}}", value):
        raise ConfigurationError(f"{name}: {2 * length} hexadecimal digits are needed")
