"""What the directory needs of the configuration: servers, profiles, networks, and the sources of addresses."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from bindings.option_names import GROUP, OSCORE_KIDS, SERVER_PORTS
from bindings.server_ports import OTHERS, read_server_ports, with_ports
from bridge.directory.oscore_kids import kids_by_server
from bridge.directory.record import Draft, EndpointRecord, check_all, check_template
from bridge.directory.sources import Sources
from bridge.directory.waking import wake_of
from bridge.errors import ConfigurationError, DirectoryError
from bridge.relay.model import Endpoint, Server, ServerProfile


@dataclass(frozen=True)
class Catalogue:
    """The servers, profiles and networks that entries of the directory may name. Raises ConfigurationError.

    `canonical(network, device)` gives the one spelling of a device address, or raises ConfigurationError, also for a
    network that is not configured; `check_options(network, options)` raises it for options that the network does not
    have.
    """

    servers: Mapping[str, Server]
    canonical: Callable[[str, str], str]
    sources: Sources | None = None  # None: endpoints get no address of their own (read-only tools)
    profiles: Mapping[str, ServerProfile] = field(default_factory=dict)
    default_servers: tuple[str, ...] = ()
    templates: Mapping[str, str] = field(default_factory=dict)  # network: template for endpoint names
    addresses: Mapping[str, tuple[str, int]] = field(default_factory=dict)  # server: host and port, as configured
    server_ports: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # network: port of each server (R23)
    check_options: Callable[[str, Mapping[str, str]], None] = lambda _network, _options: None

    def __post_init__(self) -> None:
        for template in self.templates.values():
            check_template(template)
        for key in self.default_servers:
            if key not in self.servers:
                raise ConfigurationError(f"server {key!r} is not configured")

    def check(self, draft: Draft) -> Draft:
        """Return a draft, completed and in canonical form. Raises DirectoryError with the reason."""
        draft = check_all(draft, self.canonical, self.templates.get(draft.network))
        servers = draft.servers or self.default_servers
        if not servers:
            raise DirectoryError("no server is named, and there is no default")
        for key in servers:
            if key not in self.servers:
                raise DirectoryError(f"server {key!r} is not configured; there are {', '.join(sorted(self.servers))}")
        if len(set(servers)) != len(servers):
            raise DirectoryError("a server is given twice")
        check_addresses(servers, self.addresses)
        if draft.options:
            self._check_options(draft)
        if draft.profile and draft.profile not in self.profiles:
            known = ", ".join(sorted(self.profiles)) or "none"
            raise DirectoryError(f"profile {draft.profile!r} is not configured; there are: {known}")
        return draft if servers == draft.servers else replace(draft, servers=servers)

    def _check_options(self, draft: Draft) -> None:
        try:
            named = read_server_ports(draft.options.get(SERVER_PORTS, ""))
            self.check_options(draft.network, draft.options)
        except ConfigurationError as error:
            raise DirectoryError(str(error)) from error
        servers = draft.servers or self.default_servers
        for server in named:
            if server != OTHERS and server not in servers:
                raise DirectoryError(
                    f"option {SERVER_PORTS} names server {server!r}, which is not one of the endpoint's "
                    f"({', '.join(servers)}): write one of them, or * for all that are not named"
                )
        for server in kids_by_server(draft.options):
            if server not in servers:
                raise DirectoryError(
                    f"option {OSCORE_KIDS} names server {server!r}, which is not one of the endpoint's "
                    f"({', '.join(servers)}): write one of them"
                )

    def options(self, record: EndpointRecord) -> Mapping[str, str]:
        """Return the options in force for a record: its own, and the ports that its network sets for its servers."""
        return with_ports(record.options, record.servers, self.server_ports.get(record.network, {}))

    def ports(self, record: EndpointRecord) -> dict[str, str]:
        """Return the application port of each server of a record that has one: its own, or that of its network."""
        options = self.options(record)
        if SERVER_PORTS not in options:
            return {}
        ports = read_server_ports(options[SERVER_PORTS])
        found = {server: ports.get(server, ports.get(OTHERS)) for server in record.servers}
        return {server: port for server, port in found.items() if port is not None}

    def endpoint(self, record: EndpointRecord) -> Endpoint:
        """Return the record as an Endpoint of the core; servers that are no longer configured are left out.

        Raises ConfigurationError if the profile is gone.
        """
        servers = [self.servers[key] for key in record.servers if key in self.servers]
        options = self.options(record)
        if SERVER_PORTS in options:
            ports = self.ports(record)
            servers = [replace(server, application_port=ports.get(server.key)) for server in servers]
        if OSCORE_KIDS in options:
            kids = kids_by_server(options)
            servers = [replace(server, oscore_kids=kids.get(server.key, ())) for server in servers]
        if record.profile:
            profile = self.profiles.get(record.profile)
            if profile is None:
                raise ConfigurationError(f"endpoint {record.name!r}: profile {record.profile!r} is not configured")
            servers = [replace(server, profile=profile) for server in servers]
        return Endpoint(
            record.id,
            record.shard,
            record.name,
            record.network,
            record.device,
            tuple(servers),
            record.default_ttl,
            record.object_list,
            record.confirmed,
            options,
            options.get(GROUP, ""),
            wake_of(options),
        )


def check_addresses(servers: Iterable[str], addresses: Mapping[str, tuple[str, int]]) -> None:
    """Refuse two servers of one endpoint at one address: it would be unknown which server sent a message.

    Raises DirectoryError.
    """
    seen: dict[tuple[str, int], str] = {}
    for server in servers:
        address = addresses.get(server)
        if address is None:
            continue
        other = seen.setdefault(address, server)
        if other != server:
            host, port = address
            raise DirectoryError(
                f"servers {other!r} and {server!r} are both at {host} port {port}: an endpoint can have one of them"
            )
