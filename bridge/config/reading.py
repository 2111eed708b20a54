"""Reading a configuration: every fault is a ConfigurationError that names file, section, key and cure."""

import math
import re
import tomllib
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bindings.option_names import SERVER_PORTS
from bindings.server_ports import OTHERS, read_server_ports, written
from bridge.config.model import (
    Api,
    Config,
    EndpointSettings,
    Events,
    Network,
    PolicySettings,
    Service,
    server_addresses,
)
from bridge.config.nodes import Cluster, Standby
from bridge.config.north import North
from bridge.config.profiles import nearest, profile
from bridge.config.quotas import QuotaSettings
from bridge.config.secrets import reveal
from bridge.config.server_settings import ServerSettings
from bridge.config.shape import Field, shape
from bridge.config.walk import contents
from bridge.directory.catalogue import check_addresses
from bridge.directory.record import check_template
from bridge.errors import ConfigurationError, DirectoryError
from bridge.extras import cure, has_extra
from bridge.north.udp.prefixes import pools

BINDINGS = "lwm2m_bridge.bindings"
"""Entry point group in which bindings are found."""

NAME_TEMPLATE = "name_template"
_SECTIONS = [
    "service",
    "api",
    "events",
    "standby",
    "cluster",
    "north",
    "policy",
    "servers",
    "networks",
    "quotas",
    "endpoints",
]
_SOCKET_PATH = 107  # bytes of a Unix socket's path, at most (unix(7))
_NAMED = re.compile(r"\[(servers|networks)\.[^.]*\]$")  # a section that has a name of the reader's choice
_KEYS = re.compile(r"\((?:'[^']*',? ?)+\)")  # how tomllib names a table: as Python's tuple of its keys
_KEY = re.compile(r"'([^']*)'")
_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_Settings = TypeVar("_Settings", bound=msgspec.Struct)


def load(path: str | Path, *, secrets: bool = True) -> Config:
    """Read a file. Raises ConfigurationError; secrets are resolved and never part of its text.

    Without `secrets` references to secrets are not resolved: enough for everything except the networks' settings.
    """
    file = Path(path)
    return _parse(_text(file), str(file), file.absolute().parent, secrets=secrets)


def control_socket(path: str | Path) -> Path:
    """Return the path at which the service of a configuration listens for commands; only section [service] is read.

    Raises ConfigurationError.
    """
    file = Path(path)
    document = _document(_text(file), str(file))
    return _Reader(str(file), file.absolute().parent, secrets=False).service_only(document).control_socket


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"{file}: cannot be read ({error.strerror}); `lwm2m-bridge config template` prints one to start from"
        ) from None
    except UnicodeError:
        raise ConfigurationError(f"{file}: is not UTF-8, which TOML must be; save it as such") from None


def parse(text: str, name: str, directory: Path) -> Config:
    """Read a configuration's text; `name` is for error texts, relative paths start at `directory`."""
    return _parse(text, name, directory, secrets=True)


def _parse(text: str, name: str, directory: Path, *, secrets: bool) -> Config:
    return _Reader(name, directory, secrets=secrets).read(_document(text, name))


def _document(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        why = _KEYS.sub(lambda keys: f"[{'.'.join(_KEY.findall(keys[0]))}]", str(error))
        raise ConfigurationError(f"{name}: is not TOML: {why}; mend that line") from None


_loaded: dict[str, type[Any]] = {}  # bindings, by name


def installed_bindings() -> tuple[str, ...]:
    """Return the names of the installed bindings, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=BINDINGS)}))


def binding_class(name: str) -> type[Any]:
    """Return the class of an installed binding. Raises ConfigurationError that lists the installed ones.

    What was loaded once is given again: to look through all that is installed takes longer than to read a small file.
    """
    if name in _loaded:
        return _loaded[name]
    installed = {point.name: point for point in entry_points(group=BINDINGS)}
    if name not in installed:
        raise ConfigurationError(f"unknown binding {name!r}{nearest(name, list(installed))}")
    point = installed[name]
    try:
        found: type[Any] = point.load()
    except ModuleNotFoundError as error:
        missing = None
        if point.dist is not None and has_extra(point.dist, name):
            missing = cure(error.name, name, point.dist.name)
        raise ConfigurationError(
            f"binding {name!r} cannot be loaded: {missing or f'{error!r}; reinstall it'}"
        ) from error
    except Exception as error:  # a third party's code may raise anything when it is imported
        raise ConfigurationError(f"binding {name!r} cannot be loaded: {error!r}; reinstall it") from error
    _loaded[name] = found
    return found


class _Reader:
    def __init__(self, file: str, directory: Path, *, secrets: bool) -> None:
        self._file = file
        self._directory = directory
        self._reveal = secrets
        self._secrets: set[str] = set()

    def service_only(self, document: dict[str, Any]) -> Config:
        """Return a configuration of the section [service] alone."""
        service = self._section(document.get("service", {}), Service, "[service]")
        return Config(directory=self._directory, file=self._file, service=service)

    def read(self, document: dict[str, Any]) -> Config:
        for key in document:
            if key not in _SECTIONS:
                raise ConfigurationError(f"{self._file}: unknown section [{key}]{nearest(key, _SECTIONS)}")
        service = self._section(document.get("service", {}), Service, "[service]")
        self._try("[service] metrics_listen", service.metrics_address)
        api = self._section(document.get("api", {}), Api, "[api]")
        self._try("[api] listen", api.address)
        events = self._section(document.get("events", {}), Events, "[events]")
        standby = self._section(document.get("standby", {}), Standby, "[standby]")
        cluster = self._section(document.get("cluster", {}), Cluster, "[cluster]")
        north = self._section(document.get("north", {}), North, "[north]")
        self._try("[north] prefixes", lambda: pools(north.prefixes))
        policy = self._section(document.get("policy", {}), PolicySettings, "[policy]")
        servers = {
            key: self._section(values, ServerSettings, f"[servers.{key}]")
            for key, values in self._tables(document, "servers")
        }
        for server in service.default_servers:
            if server not in servers:
                hint = nearest(server, servers)
                raise ConfigurationError(f"{self._file}: [service] default_servers: unknown server {server!r}{hint}")
        self._try(
            "[service] default_servers", lambda: check_addresses(service.default_servers, server_addresses(servers))
        )
        networks = {key: self._network(key, values, servers) for key, values in self._tables(document, "networks")}
        endpoints = document.get("endpoints", [])
        defaults = service.default_servers or (list(servers) if len(servers) == 1 else [])
        if not isinstance(endpoints, list):
            raise ConfigurationError(f"{self._file}: endpoints must be written [[endpoints]], once for each of them")
        config = Config(
            directory=self._directory,
            file=self._file,
            service=service,
            api=api,
            events=events,
            standby=standby,
            cluster=cluster,
            north=north,
            policy=policy,
            servers=servers,
            networks=networks,
            endpoints=tuple(self._endpoints(endpoints, servers, networks, defaults)),
            quotas=tuple(self._quotas(document.get("quotas", []), networks)),
            secrets=frozenset(self._secrets),
        )
        if len(bytes(config.control_socket)) > _SOCKET_PATH:
            raise ConfigurationError(
                f"{self._file}: [service] control_socket: {config.control_socket} is longer than {_SOCKET_PATH} bytes, "
                "which a local socket's path may not be; give a shorter absolute path"
            )
        return replace(config, files=contents(config)) if self._reveal else config

    def _tables(self, document: dict[str, Any], kind: str) -> Iterable[tuple[str, Any]]:
        tables = document.get(kind, {})
        if not isinstance(tables, dict):
            raise ConfigurationError(f"{self._file}: {kind} must be written [{kind}.NAME], once for each of them")
        return tables.items()

    def _network(self, key: str, values: Any, servers: Iterable[str]) -> Network:
        where = f"[networks.{key}]"
        if not isinstance(values, dict) or not isinstance(values.get("binding"), str):
            raise ConfigurationError(f'{self._file}: {where} binding: missing; name one, like binding = "nidd"')
        rest = dict(values)
        name: str = rest.pop("binding")
        template = rest.pop(NAME_TEMPLATE, "")
        if not isinstance(template, str):
            raise ConfigurationError(f'{self._file}: {where} {NAME_TEMPLATE}: must be a text, like "urn:{{device}}"')
        if template:
            self._try(f"{where} {NAME_TEMPLATE}", lambda: check_template(template))
        ports = self._server_ports(rest.pop(SERVER_PORTS, {}), f"{where} {SERVER_PORTS}", servers)
        factory = self._try(f"{where} binding", lambda: binding_class(name))
        settings = self._section(rest, factory.settings(), where)
        return Network(key, name, factory, settings, template, ports, self._file)

    def _server_ports(self, table: Any, where: str, servers: Iterable[str]) -> dict[str, str]:
        """Return a network's table of servers' application ports. How they are written is checked by its binding."""
        if not isinstance(table, dict) or not all(isinstance(port, str) and port for port in table.values()):
            raise ConfigurationError(
                f'{self._file}: {where}: must be a table of ports as texts, like {{ one = "1:1", two = "2:2" }}'
            )
        for server in table:
            if server != OTHERS and server not in servers:
                hint = nearest(server, list(servers))
                raise ConfigurationError(f"{self._file}: {where}: unknown server {server!r}{hint}")
        if self._try(where, lambda: read_server_ports(written(table))) != table:
            raise ConfigurationError(f"{self._file}: {where}: a name or port may not have a comma or outer spaces")
        return table

    def _quotas(self, tables: Any, networks: dict[str, Network]) -> Iterable[QuotaSettings]:
        if not isinstance(tables, list):
            raise ConfigurationError(f"{self._file}: quotas must be written [[quotas]], once for each of them")
        names: set[str] = set()
        for i, values in enumerate(tables, 1):
            label = values.get("name") if isinstance(values, dict) else None
            where = f"[[quotas]] number {i}" + (f" ({label})" if isinstance(label, str) else "")
            quota = self._section(values, QuotaSettings, where)
            if quota.name in names:
                raise ConfigurationError(f"{self._file}: {where} name: given twice; names must differ")
            if quota.network not in networks:
                hint = nearest(quota.network, list(networks))
                raise ConfigurationError(f"{self._file}: {where} network: unknown network {quota.network!r}{hint}")
            names.add(quota.name)
            yield quota

    def _endpoints(
        self,
        tables: list[Any],
        servers: dict[str, ServerSettings],
        networks: dict[str, Network],
        defaults: list[str],
    ) -> Iterable[EndpointSettings]:
        names: set[str] = set()
        addresses: set[tuple[str, str]] = set()
        at = server_addresses(servers)
        for i, values in enumerate(tables, 1):
            label = values.get("name") if isinstance(values, dict) else None
            where = f"[[endpoints]] number {i}" + (f" ({label})" if isinstance(label, str) else "")
            endpoint = self._section(values, EndpointSettings, where)
            if endpoint.name in names:
                raise ConfigurationError(f"{self._file}: {where} name: given twice; names must differ")
            if endpoint.network not in networks:
                hint = nearest(endpoint.network, list(networks))
                raise ConfigurationError(f"{self._file}: {where} network: unknown network {endpoint.network!r}{hint}")
            if (endpoint.network, endpoint.address) in addresses:
                raise ConfigurationError(
                    f"{self._file}: {where} address: {endpoint.address} belongs to another endpoint of "
                    f"{endpoint.network}; a device is one endpoint"
                )
            if not endpoint.servers:
                if not defaults:
                    raise ConfigurationError(
                        f"{self._file}: {where} servers: missing, and [service] default_servers too; name some of: "
                        f"{', '.join(servers) or 'none is configured, add a section [servers.NAME]'}"
                    )
                endpoint = msgspec.structs.replace(endpoint, servers=defaults)
            for server in endpoint.servers:
                if server not in servers:
                    hint = nearest(server, list(servers))
                    raise ConfigurationError(f"{self._file}: {where} servers: unknown server {server!r}{hint}")
            self._try(f"{where} servers", lambda keys=endpoint.servers: check_addresses(keys, at))
            if endpoint.profile:
                self._try(f"{where} profile", lambda name=endpoint.profile: profile(name))
            names.add(endpoint.name)
            addresses.add((endpoint.network, endpoint.address))
            yield endpoint

    def _section(self, values: Any, kind: type[_Settings], where: str) -> _Settings:
        checked = self._check(values, kind, where)
        try:
            return msgspec.convert(checked, kind)
        except msgspec.ValidationError as error:
            raise ConfigurationError(f"{self._file}: {self._explain(str(error), kind, where)}") from None
        except ConfigurationError as error:
            raise ConfigurationError(f"{self._file}: {where}: {error}") from None

    def _check(self, values: Any, kind: type[msgspec.Struct], where: str) -> dict[str, Any]:
        """Refuse unknown and missing keys by name, and resolve secrets, down to nested sections."""
        if not isinstance(values, dict):
            named = _NAMED.match(where)
            cure = f"; choose a name, and write the keys below [{named[1]}.NAME]" if named else ""
            raise ConfigurationError(f"{self._file}: {where}: must be a section of keys, not a single value{cure}")
        fields = {field.name: field for field in shape(kind)}
        checked: dict[str, Any] = {}
        for key, value in values.items():
            field = fields.get(key)
            if field is None:
                raise ConfigurationError(f"{self._file}: {where} {key}: unknown key{nearest(key, list(fields))}")
            if field.struct is not None:
                checked[key] = self._check(value, field.struct, _inner(where, key))
            elif field.secret and self._reveal:
                checked[key] = self._try(f"{where} {key}", lambda v=value: reveal(v, self._directory, self._secrets))
            else:
                self._finite(value, f"{where} {key}", field)
                checked[key] = value
        for field in fields.values():
            if field.required and field.name not in values:
                raise ConfigurationError(f"{self._file}: {where} {field.name}: missing; {_about(field)}")
        return checked

    def _finite(self, value: Any, where: str, field: Field) -> None:
        """Refuse inf and nan: TOML has them, and no range of a type excludes nan."""
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        for part in parts:
            self._finite(part, where, field)
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigurationError(f"{self._file}: {where}: {value} is no finite number; {_about(field)}")

    def _explain(self, text: str, kind: type[msgspec.Struct], where: str) -> str:
        """Return msgspec's error in the terms of the configuration, with the key's description as the cure."""
        match = _WHERE.match(text)
        assert match is not None  # noqa: S101  (the pattern matches any text)
        what = match["what"].replace("`", "")
        what = what[:1].lower() + what[1:]
        steps = [step for step in (match["path"] or "").removeprefix("$").split(".") if step]
        about: Field | None = None
        key = ""
        for i, step in enumerate(steps):
            key = step.partition("[")[0]
            about = next((field for field in shape(kind) if field.name == key), None)
            if about is None or about.struct is None or i == len(steps) - 1:
                break
            kind = about.struct
            where = _inner(where, key)
        if about is None:
            return f"{where}: {what}"
        return f"{where} {key}: {what}; {_about(about)}"

    def _try(self, where: str, action: Any) -> Any:
        try:
            return action()
        except (ConfigurationError, DirectoryError) as error:
            raise ConfigurationError(f"{self._file}: {where}: {error}") from error.__cause__


def _inner(where: str, key: str) -> str:
    return f"{where[:-1]}.{key}]" if where.endswith("]") else f"{where} {key}"


def _about(field: Field) -> str:
    choices = f" (one of {', '.join(field.choices)})" if field.choices else ""
    return f"it is: {field.description}{choices}"
