"""The options of a LoRaWAN endpoint, read from text."""

from collections.abc import Mapping
from typing import NamedTuple

from bindings import option_names
from bindings.lorawan.app_s_key import Envelope
from bindings.lorawan.identity import f_port_of
from bindings.options import number_of_bytes
from bridge.errors import ConfigurationError


class DeviceOptions(NamedTuple):
    """The options that the binding itself uses; 0: the network instance's setting."""

    f_port: int = 0
    max_payload: int = 0
    app_s_key: Envelope | None = None  # ABP: of a session whose payloads the network server must not read


def read_options(options: Mapping[str, str]) -> DeviceOptions:
    """Read an endpoint's options. Raises ConfigurationError."""
    f_port, most, envelope = 0, 0, None
    for name, value in options.items():
        match name:
            case "f_port":
                f_port = f_port_of(value)
            case "max_payload":
                most = number_of_bytes(name, value)
            case "app_s_key":
                envelope = Envelope.parse(value)
            case option_names.BLOCK2 if value not in {"true", "false"}:
                raise ConfigurationError(f"option block2 {value!r} must be true or false")
            case option_names.CONFIRMED_OPERATIONS | option_names.BLOCK2:
                pass  # the bridge reads it
            case _:
                raise ConfigurationError(
                    f"unknown option {name!r}: a LoRaWAN endpoint has f_port, max_payload, app_s_key, "
                    "confirmed_operations, block2"
                )
    return DeviceOptions(f_port, most, envelope)
