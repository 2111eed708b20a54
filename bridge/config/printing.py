"""A commented configuration, printed from the types that read it, so that both always agree.

A line `#key = value` is a setting with its default, or with an example if there is no default.
"""

import json
import textwrap
from collections.abc import Iterator
from enum import Enum
from typing import Any, get_origin

import msgspec

from bindings.option_names import SERVER_PORTS
from bridge.config.model import Api, EndpointSettings, Events, PolicySettings, Service
from bridge.config.nodes import Cluster, Standby
from bridge.config.north import North
from bridge.config.quotas import QuotaSettings
from bridge.config.reading import NAME_TEMPLATE, binding_class, installed_bindings
from bridge.config.server_settings import ServerSettings
from bridge.config.shape import Field, shape
from bridge.errors import ConfigurationError

_SECTIONS: tuple[tuple[str, type[msgspec.Struct]], ...] = (
    ("service", Service),
    ("api", Api),
    ("events", Events),
    ("standby", Standby),
    ("cluster", Cluster),
    ("north", North),
    ("policy", PolicySettings),
)
_WIDTH = 110

_HEAD = """\
Configuration of lwm2m-bridge (TOML).
Settings are listed with their defaults, commented out: remove the # and change the value.
Unknown keys are errors. Times are seconds. Secrets may be given as "file:PATH", "env:NAME" or
"credential:NAME", a credential of systemd."""


def template() -> str:
    """Return the whole file as text; it reads back as the defaults."""
    lines = [f"# {line}" for line in _HEAD.splitlines()]
    for name, kind in _SECTIONS:
        lines += ["", "", f"[{name}]", *_about(kind), *_fields(kind, name)]
    lines += ["", "", *_section("[servers.example]", ServerSettings, "servers.example")]
    for binding in installed_bindings():
        lines += ["", "", *_network(binding)]
    lines += ["", "", *_section("[[quotas]]", QuotaSettings, "quotas")]
    lines += ["", "", *_section("[[endpoints]]", EndpointSettings, "endpoints")]
    return "\n".join(lines) + "\n"


def _network(binding: str) -> Iterator[str]:
    name = f"networks.example-{binding}"
    try:
        kind = binding_class(binding).settings()
    except ConfigurationError as error:
        yield from _comment(str(error))
        return
    yield f"#[{name}]"
    yield from _about(kind)
    yield ""
    yield "# which binding carries it"
    yield f"#binding = {_value(binding)}"
    yield ""
    yield from _comment(
        "name of an endpoint that is added without one; {device} is its address there, {network} this NAME; "
        "empty: endpoints must be named"
    )
    yield f'#{NAME_TEMPLATE} = ""'
    yield ""
    yield from _comment(
        "application ports by which the servers of endpoints are known, where the network has such ports: nidd RDS "
        'ports of the UE and of the SCEF, { one = "1:1", "*" = "3:3" }; lorawan FPorts, { one = "11" }; "*" stands for '
        "all other servers; options server_ports, rds_port and f_port of an endpoint replace it"
    )
    yield f"#{SERVER_PORTS} = {{}}"
    yield from _fields(kind, name)


def _section(header: str, kind: type[msgspec.Struct], path: str) -> Iterator[str]:
    yield f"#{header}"
    yield from _about(kind)
    yield from _fields(kind, path)


def _about(kind: type[msgspec.Struct]) -> Iterator[str]:
    yield from _comment(" ".join((kind.__doc__ or "").split()))


def _fields(kind: type[msgspec.Struct], path: str) -> Iterator[str]:
    fields = list(shape(kind))
    for field in fields:
        if field.struct is None:
            yield ""
            yield from _comment(_describe(field))
            yield _setting(field)
    for field in fields:  # in TOML, a section's own keys come before its inner sections
        if field.struct is not None:
            yield ""
            yield f"#[{path}.{field.name}]"
            yield from _comment(field.description)
            yield from _fields(field.struct, f"{path}.{field.name}")


def _describe(field: Field) -> str:
    parts = [field.description]
    if field.choices and not all(choice in field.description for choice in field.choices):
        parts.append(f"one of: {', '.join(choice or '(empty)' for choice in field.choices)}")
    if field.required:
        parts.append("required")
    elif field.default is None:
        parts.append("not set")
    if field.secret:
        parts.append("secret")
    return " · ".join(part for part in parts if part)


def _setting(field: Field) -> str:
    value = field.default
    if value is None:
        value = field.example if field.example is not None else _placeholder(field)
    return f"#{field.name} = {_value(value)}"


def _placeholder(field: Field) -> Any:
    if field.choices:
        return field.choices[0]
    made = {str: "example", int: 1, float: 1.0, bool: False, list: [], dict: {}}
    return made.get(get_origin(field.kind) or field.kind, "example")


def _value(value: Any) -> str:
    """Write a value as TOML; JSON strings, numbers and booleans are the same there."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_value(str(k))} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _comment(text: str) -> Iterator[str]:
    for line in textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False):
        yield f"# {line}"
