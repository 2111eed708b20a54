"""Differences between two configurations, and when each comes into force. Secrets are never shown."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import msgspec

from bridge.config.model import Config
from bridge.config.quotas import QuotaSettings
from bridge.config.shape import shape

_LONGEST = 200  # characters of a value that are shown


class Applies(StrEnum):
    """When a difference comes into force."""

    NOW = "now"  # with a reload
    RESTART = "restart"  # with the next start
    NEVER = "by command"  # the directory has endpoints of its own: `endpoint update`, `endpoint remove`


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting with two different values; "" means that it is absent."""

    setting: str  # [service] log_level
    before: str
    after: str
    applies: Applies


AT_ONCE = frozenset({
    "[service] log_level", "[service] log_format", "[api] allowed_origins", "[api] certificate", "[api] key",
})  # fmt: skip
"""Settings that a reload puts into force."""


def differences(before: Config, after: Config) -> list[Difference]:
    """Return the differences, in the order of the configuration."""
    old, new = _settings(before), _settings(after)
    at_once = AT_ONCE
    if not (before.api.certificate and after.api.certificate):  # a listener cannot change between HTTP and TLS
        at_once -= {"[api] certificate", "[api] key"}
    found = [
        Difference(name, _shown(old, name), _shown(new, name), Applies.NOW if name in at_once else Applies.RESTART)
        for name in [*old, *(name for name in new if name not in old)]
        if old.get(name) != new.get(name)
    ]
    return [*found, *_quotas(before, after), *_endpoints(before, after)]


def in_force(before: Config, after: Config) -> Config:
    """Return the configuration that is in force after a reload of `after`."""
    service = msgspec.structs.replace(
        before.service, log_level=after.service.log_level, log_format=after.service.log_format
    )
    has_tls = bool(before.api.certificate and after.api.certificate)
    api = msgspec.structs.replace(
        before.api,
        allowed_origins=after.api.allowed_origins,
        certificate=after.api.certificate if has_tls else before.api.certificate,
        key=after.api.key if has_tls else before.api.key,
    )
    names = {one.name for one in before.endpoints}
    added = tuple(one for one in after.endpoints if one.name not in names)
    secrets = before.secrets | after.secrets
    endpoints = before.endpoints + added
    return replace(before, service=service, api=api, quotas=after.quotas, endpoints=endpoints, secrets=secrets)


@dataclass(frozen=True, slots=True)
class _Value:
    value: Any
    secret: bool

    def __str__(self) -> str:
        if self.secret:
            return "(secret)" if self.value else ""
        text = str(self.value)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _shown(settings: Mapping[str, _Value], name: str) -> str:
    value = settings.get(name)
    return "" if value is None else str(value)


def _settings(config: Config) -> dict[str, _Value]:
    """Return all settings except the endpoints, by section and name."""
    sections: dict[str, msgspec.Struct] = {
        "[service]": config.service,
        "[api]": config.api,
        "[events]": config.events,
        "[standby]": config.standby,
        "[north]": config.north,
        "[policy]": config.policy,
    }
    sections |= {f"[servers.{key}]": server for key, server in config.servers.items()}
    sections |= {f"[networks.{key}]": network.settings for key, network in config.networks.items()}
    found = {name: value for section, struct in sections.items() for name, value in _fields(section, struct)}
    for key, network in config.networks.items():
        found[f"[networks.{key}] binding"] = _Value(network.binding, secret=False)
        found[f"[networks.{key}] name_template"] = _Value(network.name_template, secret=False)
    return found


def _fields(section: str, struct: msgspec.Struct) -> Iterator[tuple[str, _Value]]:
    names = {info.encode_name: info.name for info in msgspec.structs.fields(type(struct))}
    for field in shape(type(struct)):
        value = getattr(struct, names[field.name])
        if isinstance(value, msgspec.Struct):
            yield from _fields(f"{section[:-1]}.{field.name}]", value)
        else:
            yield f"{section} {field.name}", _Value(value, field.secret)


def _quotas(before: Config, after: Config) -> Iterator[Difference]:
    old, new = ({one.name: one for one in config.quotas} for config in (before, after))
    for name in [*old, *(name for name in new if name not in old)]:
        if old.get(name) != new.get(name):
            yield Difference(f"[[quotas]] {name}", _quota(old.get(name)), _quota(new.get(name)), Applies.NOW)


def _quota(settings: QuotaSettings | None) -> str:
    if settings is None:
        return ""
    amounts = ((settings.messages, "messages"), (settings.bytes, "bytes"))
    most = " and ".join(f"{amount} {unit}" for amount, unit in amounts if amount is not None)
    group = f", group {settings.group}" if settings.group else ""
    return (
        f"{most} per {settings.period} and {settings.per} on {settings.network}{group}; "
        f"{settings.counts}, {settings.at_limit}, reserve {settings.reserve}, warn_at {settings.warn_at}"
    )


def _endpoints(before: Config, after: Config) -> Iterator[Difference]:
    old, new = ({one.name: one for one in config.endpoints} for config in (before, after))
    for name, endpoint in new.items():
        if name not in old:
            yield Difference(f"[[endpoints]] {name}", "", f"{endpoint.address} on {endpoint.network}", Applies.NOW)
        elif endpoint != old[name]:
            yield Difference(f"[[endpoints]] {name}", "as it was", "changed", Applies.NEVER)
    for name in old:
        if name not in new:
            yield Difference(f"[[endpoints]] {name}", "there", "", Applies.NEVER)
