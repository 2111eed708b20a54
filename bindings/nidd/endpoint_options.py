"""Reads the options of an endpoint on a NIDD network from text into the device's record."""

from collections.abc import Mapping

import msgspec

from bindings.nidd.models import LARGEST_RDS_PORT
from bindings.nidd.notes import DeviceNote
from bindings.option_names import BLOCK2, SERVER_PORTS
from bindings.options import number_of_bytes
from bindings.reachability.watch import PARAMETERS
from bindings.server_ports import read_server_ports
from bridge.errors import ConfigurationError

PDN_OPTIONS = ("WAIT_FOR_UE", "INDICATE_ERROR", "SEND_TRIGGER")
_BUFFERS = ("network", "bridge")
_BOOLEAN = ("true", "false")
_KNOWN = (
    "max_packet_size, pdn_establishment_option, reliable_data_service, rds_port, server_ports, buffer, "
    "maximum_latency, maximum_response_time, suggested_downlinks, block2"
)


def with_options(record: DeviceNote, options: Mapping[str, str]) -> DeviceNote:
    """Return a record with these options and no others. Raises ConfigurationError, with the cure."""
    changes: dict[str, object] = {"max_packet_size": 0, "pdn": "", "reliable": None, "rds_port": "", "buffer": ""}
    changes[SERVER_PORTS] = ""
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
            case _ if name == SERVER_PORTS:
                changes[name] = ",".join(canonical_port(port) for port in read_server_ports(value).values())
            case "buffer":
                changes[name] = _one_of(name, value, _BUFFERS)
            case _ if name in power:
                power[name] = _seconds_or_packets(name, value)
            case _ if name == BLOCK2:
                _one_of(name, value, _BOOLEAN)  # the bridge reads it
            case _:
                raise ConfigurationError(f"unknown option {name!r}: a NIDD endpoint has {_KNOWN}")
    if changes["rds_port"] and changes[SERVER_PORTS]:
        raise ConfigurationError(
            f"options rds_port and {SERVER_PORTS} exclude each other: write *=PORT in {SERVER_PORTS}"
        )
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
    if len(numbers) != 2 or max(numbers) > LARGEST_RDS_PORT:  # noqa: PLR2004  # one on each side
        raise ConfigurationError(f"RDS ports {text!r} must be the device's port and ours, 0 to 15, such as 3:3")
    return {"portUE": numbers[0], "portSCEF": numbers[1]}


def canonical_port(text: str) -> str:
    """Return a pair of RDS ports in the form in which uplinks name it. Raises ConfigurationError for any other."""
    pair = rds_ports(text)
    canonical = f"{pair['portUE']}:{pair['portSCEF']}"
    if canonical != text:
        raise ConfigurationError(f"RDS ports {text!r} must be written as {canonical}")
    return canonical


def ports_of(record: DeviceNote) -> list[str]:
    """Return all RDS ports that the device's configuration needs, `UE:SCEF` each."""
    return [port for port in dict.fromkeys([record.rds_port, *record.server_ports.split(",")]) if port]


def configured_ports(record: DeviceNote) -> list[dict[str, int]]:
    """Return all RDS ports that the device's configuration needs, as T8's RdsPort."""
    return [rds_ports(text) for text in ports_of(record)]


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        *others, last = allowed
        raise ConfigurationError(f"option {name} {value!r} must be {', '.join(others)} or {last}")
    return value
