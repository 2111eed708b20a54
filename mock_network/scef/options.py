"""How an emulated SCEF is set up: options, and the file that holds UEs, groups, SCS/ASs and faults."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from mock_network.faults import Fault, FaultError
from mock_network.scef.auth import KINDS, TOKEN_LIFETIME
from mock_network.scef.core import SettingsError
from mock_network.scef.core.profile import Profile
from mock_network.scef.profiles import PROFILES

Ues = tuple[dict[str, Any], ...]


class ScsAs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One SCS/AS that the SCEF knows."""

    id: str  # as in the path, and as client id
    secret: str  # client secret, password and bearer token
    quota: int | None = None  # downlinks in the profile's `quota_window`
    identities: tuple[str, ...] | None = None  # patterns of identities that it may use; None: all
    mo_sms_url: str | None = None  # where SMS of its UEs go
    nidd_trigger_url: str | None = None  # where UEs without configuration are notified


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One group of UEs."""

    external_group_id: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Options:
    """How an emulated SCEF is set up."""

    listen: tuple[str, int] = ("127.0.0.1", 0)
    control: tuple[str, int] = ("127.0.0.1", 0)
    modem_host: str = "127.0.0.1"
    profile: Profile = PROFILES["strict-r17"]
    seed: int = 0
    public_url: str | None = None  # apiRoot in links; None: as bound
    # Who may ask
    token: str | None = None  # secret of `client_id`; None: one is made
    client_id: str = "scs-as"
    token_lifetime: float = TOKEN_LIFETIME
    authentication: bool = True
    credentials: frozenset[str] = KINDS
    certificate: str | None = None  # with `key`: T8 over TLS
    key: str | None = None
    client_ca: str | None = None  # authorities of client certificates, which are then needed
    scs_as: tuple[ScsAs, ...] = ()  # beside `client_id`
    # How it notifies
    callback_authorization: str | None = None  # value of the header
    callback_ca: str | None = None
    callback_certificate: str | None = None  # with its key
    mo_sms_url: str | None = None
    nidd_trigger_url: str | None = None
    # What there is
    ues: Ues = field(default=())  # settings, `name`, `port`, `sms_udp_port`
    groups: tuple[Group, ...] = ()
    on_first_use: tuple[str, ...] = ()  # patterns of identities whose UEs are made when they are first named
    faults: tuple[Fault, ...] = ()
    clock_skew: float = 0.0  # seconds that the SCEF's own clock is ahead


@dataclass(frozen=True, slots=True)
class World:
    """The content of a file."""

    ues: Ues = ()
    groups: tuple[Group, ...] = ()
    scs_as: tuple[ScsAs, ...] = ()
    faults: tuple[Fault, ...] = ()
    profile: dict[str, Any] = field(default_factory=dict)  # changes to one of those that ship


def read_world(path: Path) -> World:
    """Read a TOML file of [[ue]], [[group]], [[scs_as]], [[fault]] and [profile]. Raises SettingsError or OSError."""
    try:
        body = tomllib.loads(path.read_text(encoding="utf-8"))
        ues, faults = body.pop("ue", []), body.pop("fault", [])
        groups = msgspec.convert(body.pop("group", []), tuple[Group, ...])
        scs_as = msgspec.convert(body.pop("scs_as", []), tuple[ScsAs, ...])
        profile = msgspec.convert(body.pop("profile", {}), dict[str, Any])
        if body or not _are_tables(ues) or not _are_tables(faults):
            raise SettingsError("only [[ue]], [[group]], [[scs_as]], [[fault]] and [profile] are expected")
        return World(tuple(ues), groups, scs_as, tuple(Fault.parse(one) for one in faults), profile)
    except (ValueError, FaultError, msgspec.ValidationError) as error:
        raise SettingsError(f"{path}: {error}") from error


def _are_tables(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)
