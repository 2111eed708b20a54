"""Reads the options of an endpoint on a NIDD network from text into the device's record."""

from collections.abc import Mapping

import msgspec

from bindings.nidd.records import DeviceNote
from bindings.option_names import BLOCK2
from bindings.options import number_of_bytes
from bindings.reachability.watch import PARAMETERS
from bridge.errors import ConfigurationError

PDN_OPTIONS = ("WAIT_FOR_UE", "INDICATE_ERROR", "SEND_TRIGGER")
_BUFFERS = ("network", "bridge")
_BOOLEAN = ("true", "false")
_LARGEST_RDS_PORT = 15  # TS 24.250 §6.2.2: four bits
_KNOWN = (
    "max_packet_size, pdn_establishment_option, reliable_data_service, rds_port, buffer, maximum_latency, "
    "maximum_response_time, suggested_downlinks, block2"
)


def with_options(record: DeviceNote, options: Mapping[str, str]) -> DeviceNote:
    """Return a record with these options and no others. Raises ConfigurationError, with the cure."""
    changes: dict[str, object] = {"max_packet_size": 0, "pdn": "", "reliable": None, "rds_port": "", "buffer": ""}
    power = dict.fromkeys(PARAMETERS, -1)
    for name, value in options.items():
        match name:
            case "max_packet_size":
                changes[name] = number_of_bytes(name, value)
            case "pdn_establishment_option":
                changes["pdn"] = _one_of(name, value, PDN_OPTIONS)
            case "reliable_data_service":
                changes["reliable"] = _one_of(name, value, _BOOLEAN) == "true"
            case "rds_port":
                rds_ports(value)
                changes[name] = value
            case "buffer":
                changes[name] = _one_of(name, value, _BUFFERS)
            case _ if name in power:
                power[name] = _seconds_or_packets(name, value)
            case _ if name == BLOCK2:
                _one_of(name, value, _BOOLEAN)  # the bridge reads it
            case _:
                raise ConfigurationError(f"unknown option {name!r}: a NIDD endpoint has {_KNOWN}")
    changes["power"] = tuple(power.values()) if any(value >= 0 for value in power.values()) else ()
    return msgspec.structs.replace(record, **changes)


def power_options(record: DeviceNote) -> dict[str, int]:
    """Return the endpoint's own network parameters, by name."""
    return {name: value for name, value in zip(PARAMETERS, record.power, strict=False) if value >= 0}


def _seconds_or_packets(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit()) or len(value) > 8:  # noqa: PLR2004  # three years of seconds
        raise ConfigurationError(f"option {name} {value!r} must be a whole number, 0 for none")
    return int(value)


def rds_ports(text: str) -> dict[str, int]:
    """Return the ports of an option `UE:SCEF` as T8's RdsPort. Raises ConfigurationError."""
    ue, _, scef = text.partition(":")
    numbers = [int(part) for part in (ue, scef) if part.isascii() and part.isdigit() and len(part) <= 2]  # noqa: PLR2004
    if len(numbers) != 2 or max(numbers) > _LARGEST_RDS_PORT:  # noqa: PLR2004  # one on each side
        raise ConfigurationError(f"option rds_port {text!r} must be the device's port and ours, 0 to 15, such as 3:3")
    return {"portUE": numbers[0], "portSCEF": numbers[1]}


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        *others, last = allowed
        raise ConfigurationError(f"option {name} {value!r} must be {', '.join(others)} or {last}")
    return value
