"""All settings of a configuration by section and name, as people read them, and what the files that they name hold."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bindings.server_ports import written
from bridge.config.model import Config
from bridge.config.shape import shape

_LONGEST = 200  # characters of a value that are shown
_LARGEST = 1 << 20  # bytes of a file that are compared


@dataclass(frozen=True, slots=True)
class Setting:
    """A value. `secret`: it is not shown. `file`: it names a file of keys or certificates."""

    value: Any
    secret: bool = False
    file: bool = False

    def __str__(self) -> str:
        if self.secret:
            return "(secret)" if self.value else ""
        text = str(self.value)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def settings(config: Config) -> dict[str, Setting]:
    """Return all settings but quotas and endpoints, such as `[networks.field.http] proxy`."""
    sections: dict[str, msgspec.Struct] = {
        "[service]": config.service,
        "[api]": config.api,
        "[events]": config.events,
        "[standby]": config.standby,
        "[cluster]": config.cluster,
        "[north]": config.north,
        "[policy]": config.policy,
    }
    sections |= {f"[servers.{key}]": server for key, server in config.servers.items()}
    sections |= {f"[networks.{key}]": network.settings for key, network in config.networks.items()}
    found = {name: value for section, struct in sections.items() for name, value in _fields(section, struct)}
    for key, network in config.networks.items():
        found[f"[networks.{key}] binding"] = Setting(network.binding)
        found[f"[networks.{key}] name_template"] = Setting(network.name_template)
        found[f"[networks.{key}] server_ports"] = Setting(written(network.server_ports))
    return found


def contents(config: Config) -> Mapping[str, str]:
    """Return a digest of each file of keys or certificates, by the setting that names it; "" if it cannot be read."""
    return {name: _digest(config, name, str(one.value)) for name, one in settings(config).items() if _is_file(one)}


def is_of(setting: str, kind: str, key: str) -> bool:
    """Return whether a setting stands in the section of a network or server, or below it."""
    return setting.startswith((f"[{kind}.{key}]", f"[{kind}.{key}."))


def _is_file(setting: Setting) -> bool:
    return setting.file and bool(setting.value) and "{" not in str(setting.value)


def _digest(config: Config, name: str, path: str) -> str:
    # Bindings take relative paths from the directory that the process was started in.
    file = Path(path) if name.startswith("[networks.") else config.directory / path
    try:
        with file.open("rb") as opened:
            return hashlib.sha256(opened.read(_LARGEST)).hexdigest()
    except OSError:
        return ""


def _fields(section: str, struct: msgspec.Struct) -> Iterator[tuple[str, Setting]]:
    names = {info.encode_name: info.name for info in msgspec.structs.fields(type(struct))}
    for field in shape(type(struct)):
        value = getattr(struct, names[field.name])
        if isinstance(value, msgspec.Struct):
            yield from _fields(f"{section[:-1]}.{field.name}]", value)
        else:
            yield f"{section} {field.name}", Setting(value, field.secret, field.file)
