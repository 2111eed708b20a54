"""Differences between two configurations, and when each comes into force. Secrets are never shown."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

import msgspec

from bridge.config.model import Config, Events, Service
from bridge.config.north import North
from bridge.config.quotas import QuotaSettings
from bridge.config.walk import Setting, is_of, settings

_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class Applies(StrEnum):
    """When a difference comes into force."""

    NOW = "now"  # with a reload
    RESTART = "restart"  # with the next start
    NEVER = "by command"  # the directory keeps its own copy of endpoints: `endpoint set`, `endpoint remove`


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting with two different values; "" means that it is absent."""

    setting: str  # [service] log_level
    before: str
    after: str
    applies: Applies


_OF_THE_PROCESS = ("state_directory", "database", "control_socket", "cache_mib", "store_key", "former_store_key")
_OF_THE_SOCKETS = ("scheme", "prefixes", "port", "ports", "source_address", "receive_buffer")
WITH_A_RESTART = frozenset({
    *(f"[service] {name}" for name in _OF_THE_PROCESS),
    *(f"[north] {name}" for name in _OF_THE_SOCKETS),
})  # fmt: skip
"""Settings that a reload cannot put into force: the process is built on them, or all endpoints' addresses are."""


def differences(before: Config, after: Config) -> list[Difference]:
    """Return the differences, in the order of the configuration."""
    old, new = settings(before), settings(after)
    waiting = WITH_A_RESTART if _keeps_events(before) is _keeps_events(after) else {*WITH_A_RESTART, "[events] keep"}
    whole = [
        (kind, key)
        for kind, ours, theirs in (
            ("servers", before.servers.keys(), after.servers.keys()),
            ("networks", before.networks.keys(), after.networks.keys()),
        )
        for key in sorted(ours ^ theirs)
    ]
    found = [
        Difference(name, _shown(old, name), _shown(new, name), _applies(name, waiting))
        for name in [*old, *(name for name in new if name not in old)]
        if old.get(name) != new.get(name) and not any(is_of(name, kind, key) for kind, key in whole)
    ]
    return [
        *found,
        *_whole(before, after, whole),
        *_files(before, after),
        *_quotas(before, after),
        *_endpoints(before, after),
    ]


def _applies(name: str, waiting: Collection[str]) -> Applies:
    return Applies.RESTART if name in waiting or name.startswith(("[standby]", "[cluster]")) else Applies.NOW


def in_force(before: Config, after: Config) -> Config:
    """Return the configuration that is in force once a reload of `after` has done all that it can do."""
    names = {one.name for one in before.endpoints}
    added = tuple(one for one in after.endpoints if one.name not in names)
    service: Service = _with(after.service, before.service, _OF_THE_PROCESS)
    north: North = _with(after.north, before.north, _OF_THE_SOCKETS)
    events: Events = after.events if _keeps_events(before) is _keeps_events(after) else before.events
    endpoints, secrets = before.endpoints + added, before.secrets | after.secrets
    after = replace(after, service=service, north=north, events=events, standby=before.standby, cluster=before.cluster)
    return replace(after, endpoints=endpoints, secrets=secrets)


def _keeps_events(config: Config) -> bool:
    """Return whether events are kept: then every part is built with them."""
    return config.events.keep > 0


def _with(struct: _Struct, other: _Struct, names: tuple[str, ...]) -> _Struct:
    return msgspec.structs.replace(struct, **{name: getattr(other, name) for name in names})


def _shown(found: Mapping[str, Setting], name: str) -> str:
    value = found.get(name)
    return "" if value is None else str(value)


def _whole(before: Config, after: Config, sections: Iterable[tuple[str, str]]) -> Iterator[Difference]:
    """Yield servers and networks that are new or gone, each as one difference."""
    for kind, key in sections:
        old, new = (_named(config, kind, key) for config in (before, after))
        yield Difference(f"[{kind}.{key}]", old, new, Applies.NOW)


def _named(config: Config, kind: str, key: str) -> str:
    if kind == "servers":
        return config.servers[key].uri if key in config.servers else ""
    return config.networks[key].binding if key in config.networks else ""


def _files(before: Config, after: Config) -> Iterator[Difference]:
    """Yield files of keys and certificates that have other contents under the same name."""
    old, new = settings(before), settings(after)
    for name, digest in after.files.items():
        if name in before.files and before.files[name] != digest and old.get(name) == new.get(name):
            yield Difference(name, "as it was read", "the file has changed", Applies.NOW)


def _quotas(before: Config, after: Config) -> Iterator[Difference]:
    old, new = ({one.name: one for one in config.quotas} for config in (before, after))
    for name in [*old, *(name for name in new if name not in old)]:
        if old.get(name) != new.get(name):
            yield Difference(f"[[quotas]] {name}", _quota(old.get(name)), _quota(new.get(name)), Applies.NOW)


def _quota(quota: QuotaSettings | None) -> str:
    if quota is None:
        return ""
    amounts = ((quota.messages, "messages"), (quota.bytes, "bytes"))
    most = " and ".join(f"{amount} {unit}" for amount, unit in amounts if amount is not None)
    group = f", group {quota.group}" if quota.group else ""
    return (
        f"{most} per {quota.period} and {quota.per} on {quota.network}{group}; "
        f"{quota.counts}, {quota.at_limit}, reserve {quota.reserve}, warn_at {quota.warn_at}"
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
