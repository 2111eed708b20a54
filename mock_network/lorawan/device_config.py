"""What an emulated device is: identity, keys, class, habits."""

from dataclasses import dataclass
from typing import Any

from mock_network.lorawan.crypto import SessionKeys
from mock_network.lorawan.regions import REGIONS, Region

RELAY_F_PORT = 226


class DeviceConfigError(ValueError):
    """A device description that cannot be; the text names the key and the cure."""


@dataclass(frozen=True, slots=True)
class Otaa:
    """Keys for joining. 1.0.x uses the AppKey alone, 1.1 both."""

    join_eui: bytes
    app_key: bytes
    nwk_key: bytes | None = None  # given: LoRaWAN 1.1


@dataclass(frozen=True, slots=True)
class Abp:
    """A session given by hand; the network must have the same."""

    dev_addr: int
    keys: SessionKeys
    v1_1: bool = False


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """One device. Times are seconds."""

    dev_eui: str  # 16 lower-case hex digits
    activation: Otaa | Abp
    name: str = ""
    region: Region = REGIONS["EU868"]
    mac_version: str = "1.0.3"  # 1.0.0 .. 1.0.4, 1.1.0
    device_class: str = "A"  # A, B, C
    f_port: int = 10  # of what comes from the modem
    more_f_ports: tuple[int, ...] = ()  # each with a modem of its own, and its downlinks come out there
    confirmed: bool = False  # uplinks from the modem
    data_rate: int | None = None  # the first; None: the fastest of every default channel
    adr: bool = True
    duty_cycle: bool = True  # keep the region's limits
    confirmed_attempts: int = 8  # transmissions of a confirmed uplink at most (TS001-1.0.2 §18.4)
    ack_delay: float | None = (
        2.0  # an empty uplink with the ACK so long after a confirmed downlink; None: with the next
    )
    follow_f_pending: bool = True  # send an empty uplink soon when the network says that more waits
    poll_interval: float | None = None  # send an Empty CoAP message so often (Transport, App. C); None: never
    poll_confirmable: bool = False  # Empty CON (0x40) instead of NON (0x50)
    join_retry: float = 10.0  # between join attempts, plus up to half of it
    ping_periodicity: int = 4  # class B: a slot each 2**n seconds
    battery: int = 255
    queue: int = 16  # uplinks that wait, at most

    @property
    def eui(self) -> bytes:
        """Return the DevEUI as bytes, as printed."""
        return bytes.fromhex(self.dev_eui)

    @property
    def v1_1(self) -> bool:
        """Return whether this is a 1.1 device."""
        return self.mac_version.startswith("1.1")

    @property
    def counts_nonces(self) -> bool:
        """Return whether DevNonce is a counter (1.0.4, 1.1) rather than random."""
        return self.mac_version >= "1.0.4"

    def first_data_rate(self) -> int:
        """Return the data rate of a fresh session."""
        return self.region.channels[0].max_data_rate if self.data_rate is None else self.data_rate


def parse_device(body: dict[str, Any]) -> DeviceConfig:
    """Read a device from the values of a TOML table or JSON object. Raises DeviceConfigError.

    OTAA: join_eui, app_key, and for 1.1 nwk_key. ABP: dev_addr, app_s_key and nwk_s_key, or for 1.1
    f_nwk_s_int_key, s_nwk_s_int_key, nwk_s_enc_key.
    """
    body = dict(body)
    try:
        dev_eui = _hex(body, "dev_eui", 8).hex()
        mac_version = str(body.pop("mac_version", "1.0.3"))
        activation = _abp(body, mac_version) if "dev_addr" in body else _otaa(body, mac_version)
        region = body.pop("region", "EU868")
        body["more_f_ports"] = tuple(body.get("more_f_ports", ()))
        if region not in REGIONS:
            raise DeviceConfigError(f"region {region!r}: one of {', '.join(REGIONS)}")
        config = DeviceConfig(
            dev_eui=dev_eui, activation=activation, mac_version=mac_version, region=REGIONS[region], **body
        )
    except (TypeError, ValueError) as error:
        raise DeviceConfigError(str(error).replace("DeviceConfig.__init__() ", "")) from error
    _check(config)
    return config


def _check(config: DeviceConfig) -> None:
    wrong = [
        text
        for right, text in (
            (config.mac_version in ("1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4", "1.1.0"), "mac_version"),
            (config.device_class in ("A", "B", "C"), "device_class: A, B or C"),
            (all(map(_is_f_port, (config.f_port, *config.more_f_ports))), "f_port: 1..255 but not 226, the relay's"),
            (len({config.f_port, *config.more_f_ports}) == 1 + len(config.more_f_ports), "more_f_ports: one twice"),
            (config.first_data_rate() in config.region.uplink_limits, "data_rate: not of this region"),
            (0 <= config.battery <= 255, "battery: 0..255"),  # noqa: PLR2004
            (0 <= config.ping_periodicity <= 7, "ping_periodicity: 0..7"),  # noqa: PLR2004
            (config.confirmed_attempts >= 1, "confirmed_attempts: 1 or more"),
            (config.queue >= 1, "queue: 1 or more"),
        )
        if not right
    ]
    if wrong:
        raise DeviceConfigError(f"{config.dev_eui}: {'; '.join(wrong)}")


def _is_f_port(value: Any) -> bool:
    return isinstance(value, int) and 1 <= value <= 255 and value != RELAY_F_PORT  # noqa: PLR2004


def _otaa(body: dict[str, Any], mac_version: str) -> Otaa:
    nwk_key = _hex(body, "nwk_key", 16) if "nwk_key" in body else None
    if mac_version.startswith("1.1") and nwk_key is None:
        raise DeviceConfigError("nwk_key: LoRaWAN 1.1 needs one")
    return Otaa(_hex(body, "join_eui", 8, default="0" * 16), _hex(body, "app_key", 16), nwk_key)


def _abp(body: dict[str, Any], mac_version: str) -> Abp:
    dev_addr = int.from_bytes(_hex(body, "dev_addr", 4), "big")
    app_s_key = _hex(body, "app_s_key", 16)
    if not mac_version.startswith("1.1"):
        return Abp(dev_addr, SessionKeys.of_1_0(_hex(body, "nwk_s_key", 16), app_s_key))
    network = {name: _hex(body, name, 16) for name in ("f_nwk_s_int_key", "s_nwk_s_int_key", "nwk_s_enc_key")}
    return Abp(dev_addr, SessionKeys(**network, app_s_key=app_s_key), v1_1=True)


def _hex(body: dict[str, Any], name: str, length: int, default: str | None = None) -> bytes:
    value = body.pop(name, default)
    try:
        found = bytes.fromhex(value)
    except (TypeError, ValueError):
        found = b""
    if len(found) != length:
        raise DeviceConfigError(f"{name}: {2 * length} hex digits")
    return found
