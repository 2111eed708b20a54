"""The settings of a configuration. `template` prints their descriptions, ranges and defaults."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from bindings.contract import Binding
from bindings.ranges import YEAR, PerEndpoint, Span, SpanOrZero
from bridge.config.nodes import Cluster, Standby
from bridge.config.north import North
from bridge.config.quotas import QuotaSettings
from bridge.config.server_settings import ServerSettings
from bridge.config.uris import read_uri
from bridge.errors import ConfigurationError
from bridge.north.udp.servers import ServerName
from bridge.relay.model import Policy, Server

EXCHANGE_LIFETIME = 247  # seconds, RFC 7252 §4.8.2: after that a message ID may be used again

_POLICY = Policy()
_Hold = Annotated[float, Meta(ge=0, le=EXCHANGE_LIFETIME)]  # seconds that an acknowledgement may wait


class Service(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The process itself."""

    state_directory: Annotated[
        str,
        Meta(
            min_length=1,
            description="directory of the database and the socket; a relative path starts at this file's directory",
        ),
    ] = "/var/lib/lwm2m-bridge"
    database: Annotated[
        str,
        Meta(
            min_length=1,
            description="SQLite file of the ledger, relative to state_directory; or a PostgreSQL database, as a URI "
            "like postgresql://bridge@db.example/bridge, whose password is in the file that PGPASSFILE names",
        ),
    ] = "bridge.db"
    store_key: Annotated[
        str,
        Meta(
            description="key under which secrets and bodies of messages in the database are encrypted: 64 hexadecimal "
            "digits, best as file:, env: or credential:, or a key in a token as in [servers.NAME.security] key; "
            "empty: they are stored in the clear. Those that are there are encrypted at the next start",
            extra={"secret": True},
        ),
    ] = ""
    former_store_key: Annotated[
        str,
        Meta(
            description="the key before this one, until a start has encrypted everything anew",
            extra={"secret": True},
        ),
    ] = ""
    control_socket: Annotated[
        str, Meta(min_length=1, description="local socket for the command line; relative to state_directory")
    ] = "control.sock"
    object_models: Annotated[
        str,
        Meta(
            description="folder of object definitions (*.xml as the OMA registry has them), by which values in direct "
            "requests, their answers and traces have types and names; relative to this file's directory; read again "
            "by each reload. Empty: only the objects that the bridge knows by itself"
        ),
    ] = ""
    retention: Annotated[
        float,
        Meta(
            ge=0,
            le=10 * YEAR,
            description="seconds that finished messages stay in the ledger, where people can read them",
        ),
    ] = 2592000.0
    cache_mib: Annotated[
        int,
        Meta(
            ge=1,
            le=1 << 20,
            description="MiB of memory for idle endpoints (about 10 kB each); an endpoint that has "
            "no room is read from the database at its next message, which then costs half as much again",
        ),
    ] = 128
    default_servers: Annotated[
        list[str], Meta(description="servers of endpoints that name none; empty: the only server, if there is just one")
    ] = msgspec.field(default_factory=list)
    metrics_listen: Annotated[
        str,
        Meta(
            description="host:port from which Prometheus may scrape, e.g. 127.0.0.1:9464; empty: no metrics are served"
        ),
    ] = ""
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="least severe lines that are logged")
    ] = "info"
    log_format: Annotated[Literal["text", "json"], Meta(description="text (key=value) or json, one object a line")] = (
        "text"
    )

    def metrics_address(self) -> tuple[str, int] | None:
        """Return (host, port) to listen on, or None. Raises ConfigurationError."""
        return listen_address("metrics_listen", self.metrics_listen)


class Api(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The REST API (docs/api.md). Keys are made by `lwm2m-bridge key create`."""

    listen: Annotated[str, Meta(description="host:port of the API, e.g. 127.0.0.1:8460; empty: there is none")] = ""
    certificate: Annotated[
        str, Meta(description="PEM file of the certificate and its chain; empty: plain HTTP", extra={"file": True})
    ] = ""
    key: Annotated[str, Meta(description="PEM file of its private key", extra={"file": True})] = ""
    plain_http: Annotated[
        bool,
        Meta(
            description="listen without TLS where other hosts can reach it, for a proxy that does TLS; keys and "
            "payloads are readable on the way to it"
        ),
    ] = False
    allowed_origins: Annotated[
        list[str],
        Meta(description='origins of web pages that may call the API, like "https://fleet.example", beside its own'),
    ] = msgspec.field(default_factory=list)

    def address(self) -> tuple[str, int] | None:
        """Return (host, port) to listen on, or None. Raises ConfigurationError."""
        address = listen_address("listen", self.listen)
        if address is None or self.certificate or self.plain_http or _is_loopback(address[0]):
            return address
        raise ConfigurationError(
            f"listen {self.listen!r} can be reached by other hosts without TLS: name certificate and key, listen on "
            "127.0.0.1, or set plain_http = true"
        )


class Events(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Events: outcomes, registrations and provisioning, as a stream of the REST API and to webhooks."""

    keep: Annotated[
        SpanOrZero,
        Meta(
            description="seconds that an event can be read again, and that a webhook may fail before it is "
            "disabled, e.g. 259200; 0: no events are kept, and they cost nothing"
        ),
    ] = 0


def listen_address(setting: str, text: str) -> tuple[str, int] | None:
    """Return the (host, port) that a setting names, or None if it is empty. Raises ConfigurationError."""
    if not text:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or len(port) > 5 or int(port) > 65535:  # noqa: PLR2004  (TCP ports are 16 bit)
        raise ConfigurationError(f"{setting} {text!r} is not of the form host:port, like 127.0.0.1:9464")
    return host.strip("[]"), int(port)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class PolicySettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How messages of all endpoints are treated. Limits are per endpoint."""

    piggyback_window: Annotated[
        _Hold, Meta(description="seconds that an acknowledgement to a server waits for a quick answer of the device")
    ] = _POLICY.piggyback_window
    notify_hold: Annotated[
        _Hold,
        Meta(description="seconds that the device's notification stays unacknowledged, waiting for the server"),
    ] = _POLICY.notify_hold
    ttl_option: Annotated[
        int,
        Meta(
            ge=1,
            le=65535,
            description="number of the CoAP option by which a server gives a request's time to live, seconds",
        ),
    ] = _POLICY.ttl_option
    max_ttl: Annotated[
        Span,
        Meta(
            description="longest time to live that a server may ask for by that option, seconds; a longer one is cut "
            "to it, since a message that the network holds keeps the endpoint's other requests waiting"
        ),
    ] = _POLICY.max_ttl
    long_ttl: Annotated[
        SpanOrZero, Meta(description="seconds that a Notify or Send is kept for a server that is down")
    ] = _POLICY.long_ttl
    late_grace: Annotated[
        SpanOrZero, Meta(description="seconds after its deadline in which a late answer is still recognised")
    ] = _POLICY.late_grace
    refuse_when_down: Annotated[
        bool, Meta(description="answer 5.03 while a device's network is down, instead of waiting for the deadline")
    ] = _POLICY.refuse_when_down
    max_requests: Annotated[
        PerEndpoint, Meta(description="requests without an outcome; a further one is answered 5.03")
    ] = _POLICY.max_requests
    max_uplinks: Annotated[
        PerEndpoint, Meta(description="uplinks that may be stored; then the oldest Notify or Send expires")
    ] = _POLICY.max_uplinks
    max_exchanges: Annotated[
        PerEndpoint,
        Meta(
            description="requests that are remembered for 247 seconds; beyond that answered Reads and Writes are "
            "remembered by their IDs alone, and if that is not enough, a further request is answered 5.03"
        ),
    ] = _POLICY.max_exchanges
    max_kept: Annotated[
        PerEndpoint,
        Meta(description="messages of the device that are kept for its repeats; then the oldest is forgotten"),
    ] = _POLICY.max_kept
    max_observations: Annotated[
        PerEndpoint,
        Meta(
            description="observations; a further one replaces the one that is without a notification for longest (see "
            "observation_idle), or is answered 5.03"
        ),
    ] = _POLICY.max_observations
    observation_idle: Annotated[
        Span,
        Meta(description="seconds without a notification after which another observation may replace an observation"),
    ] = _POLICY.observation_idle
    max_answers: Annotated[
        PerEndpoint, Meta(description="answers that wait for the device; then the oldest is superseded")
    ] = _POLICY.max_answers
    max_reports: Annotated[
        PerEndpoint, Meta(description="delivery reports without a message; then the oldest is dropped")
    ] = _POLICY.max_reports
    max_opaque: Annotated[
        PerEndpoint,
        Meta(description="queued DTLS records, and an eighth of a handshake's pieces; then the newest is dropped"),
    ] = _POLICY.max_opaque
    handshake_ttl: Annotated[
        SpanOrZero, Meta(description="seconds that a DTLS handshake message may wait for the device")
    ] = _POLICY.handshake_ttl
    record_ttl: Annotated[
        SpanOrZero, Meta(description="seconds that any other DTLS record may wait for the device")
    ] = _POLICY.record_ttl

    wake_after: Annotated[
        SpanOrZero,
        Meta(description="seconds that a request waits for a sleeping device before the device is woken up by SMS"),
    ] = _POLICY.wake_after
    wake_interval: Annotated[Span, Meta(description="seconds from one trigger that wakes a device up to the next")] = (
        _POLICY.wake_interval
    )

    def policy(self) -> Policy:
        """Return it as the relay's type."""
        return Policy(**msgspec.structs.asdict(self))


class EndpointSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """An LwM2M client. At the start, missing ones are added to the directory; none is changed or removed."""

    name: Annotated[str, Meta(min_length=1, description="endpoint client name", examples=["urn:imei:490154203237518"])]
    network: Annotated[str, Meta(min_length=1, description="the network it is on: NAME of a section [networks.NAME]")]
    address: Annotated[
        str,
        Meta(
            min_length=1,
            description="its address on that network: External Identifier or MSISDN, DevEUI",
            examples=["meter-1@iot.example"],
        ),
    ]
    servers: Annotated[
        list[str],
        Meta(
            description="its servers; the first gets messages that name no server (R23); "
            "empty: default_servers of [service]"
        ),
    ] = msgspec.field(default_factory=list)
    profile: Annotated[
        str, Meta(description="server profile for this endpoint; empty: as its servers' sections say")
    ] = ""
    default_ttl: Annotated[
        Span | None,
        Meta(
            description="seconds that a request may wait for this device, where the request does not say",
            examples=[86400.0],
        ),
    ] = None
    object_list: Annotated[
        str | None, Meta(description="objects for a Register without any, CoRE links", examples=["</1/0>,</3/0>"])
    ] = None
    confirmed: Annotated[bool, Meta(description="ask the network for confirmed delivery")] = False
    options: Annotated[
        dict[str, str],
        Meta(
            description="settings of this device for its binding; and, if its servers are told apart by the kid of its "
            'OSCORE messages, { oscore_kids = "one=01,two=a2" }: kids in hex, at most 7 bytes (R23)'
        ),
    ] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Network:
    """A configured network instance: the binding's class, and its settings in the binding's own type.

    `name_template` makes the names of endpoints that are added without one; "" for none. `server_ports` has the
    application ports by which its endpoints' servers are known (R23), as the network writes them; "*": other servers.
    """

    name: str
    binding: str
    factory: type[Any]
    settings: Any = field(repr=False)
    name_template: str = ""
    server_ports: Mapping[str, str] = field(default_factory=dict)
    file: str = ""  # the configuration file, for error texts

    def create(self) -> Binding:
        """Make the instance; nothing is opened yet. Raises ConfigurationError if its class refuses the settings."""
        try:
            made: Binding = self.factory(self.name, self.settings)
        except ConfigurationError as error:
            raise ConfigurationError(f"{self.where} {error}") from error
        return made

    @property
    def where(self) -> str:
        """Return file and section, with which error texts begin."""
        return f"{self.file}: [networks.{self.name}]".removeprefix(": ")


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration, checked. `directory` is that of the file, where relative paths start."""

    directory: Path
    service: Service = field(default_factory=Service)
    api: Api = field(default_factory=Api)
    events: Events = field(default_factory=Events)
    standby: Standby = field(default_factory=Standby)
    cluster: Cluster = field(default_factory=Cluster)
    north: North = field(default_factory=North)
    policy: PolicySettings = field(default_factory=PolicySettings)
    servers: dict[str, ServerSettings] = field(default_factory=dict)
    networks: dict[str, Network] = field(default_factory=dict)
    endpoints: tuple[EndpointSettings, ...] = ()
    quotas: tuple[QuotaSettings, ...] = ()
    secrets: frozenset[str] = field(default=frozenset(), repr=False)  # for the redaction of logs
    files: Mapping[str, str] = field(default_factory=dict)  # digests of PEM files, by the settings that name them
    file: str = field(default="", compare=False)  # the file, for error texts

    def where(self, section: str) -> str:
        """Return file and section, for the beginning of error texts."""
        return f"{self.file}: {section}".removeprefix(": ")

    @property
    def idle(self) -> str:
        """Return why a bridge with this configuration does nothing; empty if it does something."""
        return "" if self.servers and self.networks else "has nothing to do without a server and a network"

    @property
    def state_directory(self) -> Path:
        return self.directory / self.service.state_directory

    @property
    def database(self) -> Path | str:
        """Return the ledger: an SQLite file, or the URI of a PostgreSQL database."""
        name = self.service.database
        return name if name.startswith(("postgresql://", "postgres://")) else self.state_directory / name

    @property
    def control_socket(self) -> Path:
        return self.state_directory / self.service.control_socket

    def places(self) -> list[ServerName]:
        """Return all servers for `bridge.north.udp.servers.Servers`."""
        return [settings.server_name(key) for key, settings in self.servers.items()]

    def server_addresses(self) -> dict[str, tuple[str, int]]:
        """Return host and port of each server that is reached by datagrams."""
        return server_addresses(self.servers)

    def server(self, key: str) -> Server:
        """Return a server as the relay's type. Raises KeyError for a key that `servers` does not have."""
        settings = self.servers[key]
        place = read_uri(settings.uri)
        hosts = tuple(host.casefold() for host in (place.host, *settings.known_as))
        return Server(key, settings.fitted(), hosts, place.port, settings.bootstrap)

    @property
    def default_servers(self) -> tuple[str, ...]:
        """Return the servers of endpoints that name none; empty if several are possible."""
        if self.service.default_servers:
            return tuple(self.service.default_servers)
        return tuple(self.servers) if len(self.servers) == 1 else ()

    def server_ports(self) -> dict[str, Mapping[str, str]]:
        """Return the application ports of servers by network."""
        return {name: network.server_ports for name, network in self.networks.items() if network.server_ports}

    def name_templates(self) -> dict[str, str]:
        """Return the templates of endpoint names by network."""
        return {name: network.name_template for name, network in self.networks.items() if network.name_template}


def server_addresses(servers: Mapping[str, ServerSettings]) -> dict[str, tuple[str, int]]:
    """Return host and port of each server that is reached by datagrams; one host has one spelling."""
    places = {key: read_uri(settings.uri) for key, settings in servers.items()}
    return {key: (place.host, place.port) for key, place in places.items() if not place.stream}
