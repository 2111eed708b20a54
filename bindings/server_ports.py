"""Reads an endpoint's option `server_ports`: by which application port of its network each server is known."""

from bindings.option_names import SERVER_PORTS
from bridge.errors import ConfigurationError

OTHERS = "*"
"""Stands for the endpoint's servers that the option does not name."""


def read_server_ports(text: str) -> dict[str, str]:
    """Return the port of each server, as its network writes ports, from `SERVER=PORT,SERVER=PORT`; "" names none.

    Raises ConfigurationError for another form, and for a server or a port that is named twice. Whether the servers are
    the endpoint's is checked by the directory, and whether the network has such ports by its binding.
    """
    found: dict[str, str] = {}
    for item in text.split(",") if text else ():
        server, separator, port = (part.strip() for part in item.rpartition("="))
        if not (server and separator and port):
            raise ConfigurationError(
                f"option {SERVER_PORTS} {text[:80]!r} must name a port for each server, such as one=1:1,two=2:2; "
                "* stands for all other servers"
            )
        if server in found:
            raise ConfigurationError(f"option {SERVER_PORTS} names server {server!r} twice")
        if port in found.values():
            raise ConfigurationError(f"option {SERVER_PORTS} has port {port} for two servers: give each one of its own")
        found[server] = port
    return found
