"""Checks the parts of a configuration against each other. `config check` and `run` refuse the same configurations.

Nothing is opened, and no name is resolved.
"""

import ipaddress
import ssl
from collections.abc import Iterator, Mapping

from bindings.contract import Binding, ChecksForNodes, ChecksOptions, Listener, Listens, RunsOnNodes
from bindings.option_names import SERVER_PORTS
from bindings.pem_files import refuse_token
from bindings.server_ports import written
from bridge.config.model import Config
from bridge.config.nodes import NODE, NODE_NAME, WAKE_UPS
from bridge.config.object_models import object_models
from bridge.config.profiles import PROFILES
from bridge.config.secured import secured
from bridge.config.store_keys import store_seal
from bridge.delivery.downlinks import DIRECT
from bridge.directory import Catalogue, Draft, Sources
from bridge.directory.record import binding_options
from bridge.errors import ConfigurationError, DirectoryError
from bridge.north.udp.addresses import SocketAddress
from bridge.north.udp.prefixes import indivisible, pools
from bridge.north.udp.scheme import Scheme

_ANY = {"", "0.0.0.0", "::"}  # noqa: S104  (compared with, not listened on)


def checked(config: Config) -> Mapping[str, Binding]:
    """Check everything that can be checked without opening anything; return the network instances, not started.

    Raises ConfigurationError that names file, section, key and cure.
    """
    networks = {name: network.create() for name, network in config.networks.items()}
    _check_servers(config)
    _check_north(config)
    store_seal(config)
    object_models(config)
    secured(config)
    _check_cluster(config, networks)
    _check_listeners(config, networks)
    _check_server_ports(config, networks)
    api_context(config)
    _check_endpoints(config, networks)
    return networks


def catalogue(config: Config, networks: Mapping[str, Binding], sources: Sources | None) -> Catalogue:
    """Return the servers, networks and profiles that entries of the directory may name."""

    def canonical(network: str, device: str) -> str:
        if network not in networks:
            known = ", ".join(networks) or "none"
            raise ConfigurationError(f"network {network!r} is not configured (known: {known})")
        return networks[network].canonical_device(device)

    def check_options(network: str, options: Mapping[str, str]) -> None:
        binding = networks[network]
        if isinstance(binding, ChecksOptions):
            binding.check_options(binding_options(options))

    return Catalogue(
        servers={key: config.server(key) for key in config.servers},
        canonical=canonical,
        sources=sources,
        profiles=PROFILES,
        default_servers=config.default_servers,
        templates=config.name_templates(),
        addresses=config.server_addresses(),
        server_ports=config.server_ports(),
        check_options=check_options,
    )


def drafts(config: Config) -> Iterator[Draft]:
    """Yield the endpoints of the configuration as drafts for the directory."""
    for one in config.endpoints:
        yield Draft(
            network=one.network,
            device=one.address,
            name=one.name,
            servers=tuple(one.servers),
            profile=one.profile,
            default_ttl=one.default_ttl,
            object_list=one.object_list,
            confirmed=one.confirmed,
            options=one.options,
        )


def _check_servers(config: Config) -> None:
    """Refuse a server with the name that stands for the API's callers."""
    if DIRECT in config.servers:
        where = config.where(f'[servers."{DIRECT}"]')
        raise ConfigurationError(f"{where} is the name of requests that come by the API; choose another one")


def _check_north(config: Config) -> None:
    """Make the scheme of addresses, if it does not depend on resolved names."""
    north = config.north
    known = [_literal(name.host, name.port) for name in config.places()]
    if None in known and north.scheme is not Scheme.PORTS and not north.prefixes:
        return  # the scheme depends on the servers' addresses
    try:
        north.addresses(known)
    except ConfigurationError as error:
        raise ConfigurationError(f"{config.where('[north]')} {error}") from error


def _check_cluster(config: Config, networks: Mapping[str, Binding]) -> None:
    """Refuse what several nodes cannot do."""
    if not config.cluster.enabled:
        return
    commands = config.cluster.take_command or config.cluster.release_command
    if commands and not config.north.prefixes:
        text = "take_command: there is no prefix whose parts could move; set prefixes in [north]"
        raise ConfigurationError(f"{config.where('[cluster]')} {text}")
    where = config.where("[cluster] enabled")
    if not NODE_NAME.fullmatch(config.cluster.name):
        raise ConfigurationError(
            f"{where}: {config.cluster.name!r} is no name of a node: set {NODE}, or node, to at most 63 letters, "
            "digits, dots, hyphens and underscores"
        )
    if not isinstance(config.database, str):
        raise ConfigurationError(f"{where}: needs a ledger in PostgreSQL; set [service] database to its URI")
    found = pools(config.north.prefixes)
    if found and (why := indivisible(found)):
        raise ConfigurationError(f"{config.where('[north]')} {why}")
    if config.standby.enabled:
        raise ConfigurationError(f"{where}: nodes take over from each other; set [standby] enabled = false")
    if config.north.scheme is Scheme.PORTS:
        raise ConfigurationError(
            f'{where}: a port cannot move to another node; set [north] scheme = "prefix" and prefixes'
        )
    for name, network in networks.items():
        if name == WAKE_UPS:
            taken = "nodes use this name themselves; choose another one"
            raise ConfigurationError(f"{config.networks[name].where}: {taken}")
        if not isinstance(network, RunsOnNodes):
            raise ConfigurationError(
                f"{where}: binding {config.networks[name].binding} of network {name} cannot run on several nodes yet; "
                "move that network to a bridge without [cluster], with a database of its own"
            )
        if isinstance(network, ChecksForNodes):
            try:
                network.check_for_nodes()
            except ConfigurationError as error:
                raise ConfigurationError(f"{config.networks[name].where} {error}") from error


def _literal(host: str, port: int) -> SocketAddress | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None  # a name
    return (host, port) if address.version == 4 else (host, port, 0, 0)  # noqa: PLR2004  (IP version)


def _check_listeners(config: Config, networks: Mapping[str, Binding]) -> None:
    """Refuse one TCP port for two listeners."""
    seen: list[tuple[str, Listener]] = []
    for where, listener in _listeners(config, networks):
        for other_where, other in seen:
            if _clash(listener, other):
                taken = f"port {listener.port} is already used by {other_where} {other.setting}"
                raise ConfigurationError(f"{where} {listener.setting}: {taken}; use another port for one of them")
        seen.append((where, listener))


def _check_server_ports(config: Config, networks: Mapping[str, Binding]) -> None:
    """Refuse servers' ports that their network does not have."""
    for name, ports in config.server_ports().items():
        where, network = f"{config.networks[name].where} {SERVER_PORTS}", networks[name]
        if not isinstance(network, ChecksOptions):
            raise ConfigurationError(f"{where}: binding {config.networks[name].binding} has no ports; remove it")
        try:
            network.check_options({SERVER_PORTS: written(ports)})
        except ConfigurationError as error:
            raise ConfigurationError(f"{where}: {error}") from error


def _listeners(config: Config, networks: Mapping[str, Binding]) -> Iterator[tuple[str, Listener]]:
    metrics = config.service.metrics_address()
    if metrics is not None:
        yield config.where("[service]"), Listener("metrics_listen", *metrics)
    api = config.api.address()
    if api is not None:
        yield config.where("[api]"), Listener("listen", *api)
    for name, network in networks.items():
        if isinstance(network, Listens):
            for listener in network.listeners():
                yield config.networks[name].where, listener


def _clash(one: Listener, other: Listener) -> bool:
    if one.port != other.port or not one.port:
        return False
    return one.host == other.host or bool({one.host, other.host} & _ANY)


def api_context(config: Config) -> ssl.SSLContext | None:
    """Return the TLS context of the API's listener, None for plain HTTP. Raises ConfigurationError."""
    if not config.api.certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_api_certificate(config, context)
    return context


def load_api_certificate(config: Config, context: ssl.SSLContext) -> None:
    """Use the certificate that is now in its file for new connections to the API. Raises ConfigurationError."""
    certificate, key = (
        str(config.directory / path) if path else "" for path in (config.api.certificate, config.api.key)
    )
    refuse_token(config.api.key or config.api.certificate, f"{config.where('[api]')} key")
    try:
        context.load_cert_chain(certificate, key or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"{config.where('[api]')} certificate: cannot use {certificate!r} with key {key!r}: {error}"
        ) from error


def _check_endpoints(config: Config, networks: Mapping[str, Binding]) -> None:
    """Refuse endpoints that the directory would refuse, and two endpoints of one device."""
    known = catalogue(config, networks, None)
    devices: dict[tuple[str, str], str] = {}
    for draft in drafts(config):
        where = f"{config.where('[[endpoints]]')} {draft.name}"
        try:
            device = known.check(draft).device
        except DirectoryError as error:
            raise ConfigurationError(f"{where}: {error}") from error
        other = devices.setdefault((draft.network, device), draft.name)
        if other != draft.name:
            raise ConfigurationError(
                f"{where} address: {device} belongs to endpoint {other}; a device can be only one endpoint"
            )
