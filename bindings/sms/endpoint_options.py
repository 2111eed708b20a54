"""Options of an endpoint on an SMS network."""

from collections.abc import Mapping

from bindings.option_names import BLOCK2
from bridge.errors import ConfigurationError

APPLICATION_PORT = "application_port"
_PORTS = range(1, 65536)
_DIGITS = 5


def application_port(options: Mapping[str, str], otherwise: int) -> int:
    """Return the port of the device's client. The options have passed `check_options`."""
    return int(options.get(APPLICATION_PORT, otherwise))


def check_options(options: Mapping[str, str]) -> None:
    """Raise ConfigurationError for an unknown option."""
    for name, value in options.items():
        match name:
            case "application_port":
                plain = value.isascii() and value.isdigit() and len(value) <= _DIGITS
                if not plain or int(value) not in _PORTS:
                    raise ConfigurationError(f"option application_port {value!r} is no port: 1 to 65535")
            case _ if name == BLOCK2 and value not in {"true", "false"}:
                raise ConfigurationError(f"option block2 {value!r} must be true or false")
            case _ if name == BLOCK2:
                pass  # the bridge reads it
            case _:
                raise ConfigurationError(f"unknown option {name!r}: an SMS endpoint has application_port, block2")
