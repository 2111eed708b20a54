"""The directory's record of an endpoint, and the checks of every entry."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from string import Formatter

from bindings.option_names import GROUP, OF_THE_BRIDGE, OSCORE_KIDS
from bridge.directory.oscore_kids import read_oscore_kids
from bridge.directory.waking import check_wake_options
from bridge.errors import ConfigurationError, DirectoryError

MAX_NAME = 255  # bytes of an endpoint client name: the longest Uri-Query value (RFC 7252 §5.10) with `ep=` before it
MAX_OBJECT_LIST = 4096  # bytes; a real one has a few hundred
MAX_TTL = 366 * 86400.0  # seconds; a larger value is probably in another unit
MAX_OPTION = 4096  # characters of one option's value
MAX_GROUP = 64  # characters

# CoRE Link Format (RFC 6690 §2) as Register carries it: <target>;attribute=value, …
_LINK = r'<[^<>\s"]*>(?:;[A-Za-z0-9!#$&+.^_`|~*-]+(?:=(?:"[^"]*"|[^",;<>\s]+))?)*'
_LINKS = re.compile(rf"{_LINK}(?:,{_LINK})*")
_TEMPLATE_FIELDS = ("device", "deveui", "external_id", "msisdn", "network")


@dataclass(frozen=True, slots=True)
class Draft:
    """The settings of an endpoint that is to be added; `Directory.add` makes it a record.

    If empty, the name comes from the network's template, and the servers are the configured default.
    """

    network: str
    device: str
    name: str = ""
    servers: tuple[str, ...] = ()  # keys; the first is the default
    profile: str = ""  # name of a server profile instead of those of the servers
    default_ttl: float | None = None  # seconds
    object_list: str | None = None  # CoRE links for a Register that has none (R21)
    confirmed: bool = False
    options: Mapping[str, str] = field(default_factory=dict)  # for the binding
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class EndpointRecord:
    """An endpoint in the directory; `device` is canonical."""

    id: int
    shard: int
    name: str
    network: str
    device: str
    servers: tuple[str, ...]
    profile: str
    default_ttl: float | None
    object_list: str | None
    confirmed: bool
    options: Mapping[str, str]
    enabled: bool
    created_at: float
    changed_at: float
    scheme: str = ""  # of `source`: prefix, ports
    source: int | None = None  # number of its own address toward servers (bridge.north); None: not assigned yet
    locals: tuple[str, ...] = ()  # that address as servers see it, one for each address family

    def draft(self) -> Draft:
        """Return a draft with the fields of this record, to change some of them."""
        return Draft(**{f.name: getattr(self, f.name) for f in fields(Draft)})


@dataclass(frozen=True, slots=True)
class DirectoryChange:
    """A durable change of the directory: `before` is None for a new endpoint, `after` for a removed one."""

    before: EndpointRecord | None
    after: EndpointRecord | None

    @property
    def north_changed(self) -> bool:
        """Return whether the endpoint needs a NorthChanged event: another server, or another address (R24)."""
        if self.before is None or self.after is None:
            return False
        before, after = self.before, self.after
        if (before.servers, before.scheme, before.source) != (after.servers, after.scheme, after.source):
            return True
        return not set(before.locals) <= set(after.locals)  # one more address family changes nothing

    @property
    def server_knew(self) -> bool:
        """Return whether the endpoint may be known by an address, or at a server, that is no longer its own (R24)."""
        return self.before is not None and self.before.source is not None and self.north_changed


def check_name(name: str) -> str:
    """Return the name if it can be an endpoint client name. Raises DirectoryError."""
    if not name:
        raise DirectoryError("the endpoint name is empty")
    if not name.isprintable():
        raise DirectoryError(f"the endpoint name {name!a} has characters that cannot be printed")
    if name != name.strip():
        raise DirectoryError(f"the endpoint name {name!r} begins or ends with a space")
    if len(name.encode()) > MAX_NAME:
        raise DirectoryError(f"the endpoint name {name[:40]!r}… is longer than {MAX_NAME} bytes")
    return name


def check_template(template: str) -> str:
    """Return a template for endpoint names if it is one. Raises ConfigurationError."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ConfigurationError(f"the endpoint name template {template!r} is wrong: {error}") from error
    used = [name for _, name, _, _ in parts if name is not None]
    if any(spec or conversion for _, _, spec, conversion in parts):
        raise ConfigurationError(f"the endpoint name template {template!r} may not use format specifications")
    if unknown := [name for name in used if name not in _TEMPLATE_FIELDS]:
        raise ConfigurationError(
            f"the endpoint name template {template!r} has the unknown field {unknown[0]!r}; "
            f"there are {', '.join(_TEMPLATE_FIELDS)}"
        )
    if all(name == "network" for name in used):
        raise ConfigurationError(f"the endpoint name template {template!r} names all devices alike")
    return template


def name_from(template: str, network: str, device: str) -> str:
    """Fill a template that `check_template` passed; every field but `network` is the canonical device address."""
    return template.format_map({**dict.fromkeys(_TEMPLATE_FIELDS, device), "network": network})


def check_ttl(ttl: float | None) -> float | None:
    """Return the seconds if they can be a time to live. Raises DirectoryError."""
    if ttl is not None and not (math.isfinite(ttl) and 0 < ttl <= MAX_TTL):
        raise DirectoryError(f"default_ttl {ttl} is not between 0 and {MAX_TTL:.0f} seconds")
    return ttl


def check_object_list(links: str | None) -> str | None:
    """Return valid CoRE links, None for none. Raises DirectoryError."""
    if not links:
        return None
    if len(links.encode("utf-8", "replace")) > MAX_OBJECT_LIST:
        raise DirectoryError(f"the object list is longer than {MAX_OBJECT_LIST} bytes")
    if not links.isprintable() or not _LINKS.fullmatch(links):
        raise DirectoryError(f"the object list {links[:60]!a} is not in CoRE Link Format, like </1/0>,</3/0>")
    return links


def check_options(options: Mapping[str, str]) -> dict[str, str]:
    """Return a binding's options as a plain dictionary. Raises DirectoryError."""
    for key, value in options.items():
        if not isinstance(key, str) or not isinstance(value, str) or not key.isprintable() or len(value) > MAX_OPTION:
            raise DirectoryError(f"option {key!a} is not a text of at most {MAX_OPTION} characters")
    group = options.get(GROUP)
    if group is not None and (not group.strip() or len(group) > MAX_GROUP or not group.isprintable()):
        raise DirectoryError(f"option group {group[:80]!a} is not a name of at most {MAX_GROUP} characters")
    check_wake_options(options)
    read_oscore_kids(options.get(OSCORE_KIDS, ""))
    return dict(options)


def binding_options(options: Mapping[str, str]) -> Mapping[str, str]:
    """Return the options of an endpoint that belong to its binding."""
    if OF_THE_BRIDGE.isdisjoint(options):
        return options
    return {name: value for name, value in options.items() if name not in OF_THE_BRIDGE}


def check_all(draft: Draft, canonical: Callable[[str, str], str], template: str | None) -> Draft:
    """Return a draft in canonical form, with its name; servers and profile are not checked. Raises DirectoryError."""
    try:
        device = canonical(draft.network, draft.device)
    except ConfigurationError as error:
        raise DirectoryError(str(error)) from error
    name = draft.name
    if not name:
        if template is None:
            raise DirectoryError(f"no endpoint name is given, and network {draft.network!r} has no template for one")
        name = name_from(template, draft.network, device)
    return Draft(
        draft.network,
        device,
        check_name(name),
        draft.servers,
        draft.profile,
        check_ttl(draft.default_ttl),
        check_object_list(draft.object_list),
        draft.confirmed,
        check_options(draft.options) if draft.options else {},
        draft.enabled,
    )
