"""Reads by which application port of its network each server is known: setting of a network, option of an endpoint."""

from collections.abc import Mapping, Sequence

from bindings.option_names import ONE_PORT, SERVER_PORTS
from bridge.errors import ConfigurationError

OTHERS = "*"
"""Stands for the endpoint's servers that are not named."""

_OWN_PORTS = ONE_PORT | {SERVER_PORTS}


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


def written(ports: Mapping[str, str]) -> str:
    """Return ports in the form of the option, which `read_server_ports` reads."""
    return ",".join(f"{server}={port}" for server, port in ports.items())


def with_ports(options: Mapping[str, str], servers: Sequence[str], of_network: Mapping[str, str]) -> Mapping[str, str]:
    """Return an endpoint's options, with the ports that its network sets for its servers.

    An endpoint with ports of its own keeps those, and has none of the network's.
    """
    if not of_network or not _OWN_PORTS.isdisjoint(options):
        return options
    ports = {server: of_network[server] for server in servers if server in of_network}
    if OTHERS in of_network and len(ports) < len(servers):
        ports[OTHERS] = of_network[OTHERS]
    return {**options, SERVER_PORTS: written(ports)} if ports else options
