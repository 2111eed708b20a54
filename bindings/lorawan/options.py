"""The options of a LoRaWAN endpoint, read from text."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from bindings import option_names
from bindings.lorawan.app_s_key import Envelope
from bindings.lorawan.identity import LAYERS, f_port_of
from bindings.options import number_of_bytes
from bindings.server_ports import read_server_ports
from bridge.errors import ConfigurationError


class DeviceOptions(NamedTuple):
    """The options that the binding itself uses; 0: the network instance's setting."""

    f_port: int = 0
    max_payload: int = 0
    app_s_key: Envelope | None = None  # ABP: of a session whose payloads the network server must not read
    server_ports: tuple[int, ...] = ()  # FPorts that have a server each


def read_options(options: Mapping[str, str]) -> DeviceOptions:
    """Read an endpoint's options. Raises ConfigurationError."""
    f_port, most, envelope = 0, 0, None
    ports: tuple[int, ...] = ()
    for name, value in options.items():
        match name:
            case "f_port":
                f_port = f_port_of(value)
            case option_names.SERVER_PORTS:
                ports = tuple(_server_port(port) for port in read_server_ports(value).values())
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
                    f"unknown option {name!r}: a LoRaWAN endpoint has f_port, server_ports, max_payload, "
                    "app_s_key, confirmed_operations, block2"
                )
    if f_port and ports:
        raise ConfigurationError("options f_port and server_ports exclude each other: write *=PORT in server_ports")
    return DeviceOptions(f_port, most, envelope, ports)


def on_layers(ports: Iterable[int]) -> list[str]:
    """Return a sentence for each FPort that belongs to an application layer package by default."""
    return [
        f"FPort {port} is by default that of {LAYERS[port][1]}: in a device profile with that package, ChirpStack does "
        "not pass its uplinks on; use another one, or compare with `lwm2m-bridge doctor`"
        for port in ports
        if port in LAYERS
    ]


def _server_port(text: str) -> int:
    port = f_port_of(text, option_names.SERVER_PORTS)
    if str(port) != text:
        raise ConfigurationError(f"option {option_names.SERVER_PORTS}: FPort {text!r} must be written as {port}")
    return port
