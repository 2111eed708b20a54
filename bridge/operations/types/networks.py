"""Networks: their abilities, checks of their set-up, and the devices in them."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from bindings.diagnosis import Finding
from bridge.operations.types.endpoints import EndpointView, Servers
from bridge.operations.types.request import Access, Request, Result

NetworkName = Annotated[str, Meta(min_length=1, description="NAME of its section [networks.NAME]")]


class Ability(StrEnum):
    """What a network can do in addition to carrying messages; each is a capability protocol of `bindings.contract`."""

    CHECK = "check"  # network.check
    LIST_DEVICES = "list devices"  # device.adopt
    MAKE_DEVICES = "make devices"  # device.add
    SET_INTEGRATION = "set integration"  # network.integration


class NetworkView(Result, frozen=True, kw_only=True):
    """A configured network instance."""

    name: str
    abilities: tuple[Ability, ...]
    up: bool | None  # whether its API answered the latest call; null: not known
    status: dict[str, Any]  # status of its binding; empty while the service is down


class Networks(Result, frozen=True, kw_only=True):
    """Networks in the order of the configuration."""

    items: tuple[NetworkView, ...]


class ListNetworks(Request[Networks], frozen=True):
    """List the networks, what each can do, and its state."""

    NAME: ClassVar[str] = "network.list"
    ACCESS: ClassVar[Access] = Access.READ


class LimitsForgotten(Result, frozen=True, kw_only=True):
    limits: str | None  # what was known, in words; null: nothing
    # what each other node of the cluster knew, by its name
    nodes: dict[str, str | None] = msgspec.field(default_factory=dict)
    # nodes that may still know limits, and why they were not reached
    not_reached: dict[str, str] = msgspec.field(default_factory=dict)


class ForgetLimits(Request[LimitsForgotten], frozen=True):
    """Forget the limits that a network was seen to keep, and send messages that only these limits delayed.

    A time to wait that the network named for a message stays with that message. Needs a running service. In a cluster
    all nodes that serve shards forget them; repeat the request if some were not reached.
    """

    NAME: ClassVar[str] = "network.forget_limits"
    ACCESS: ClassVar[Access] = Access.ADMIN

    network: NetworkName
    only_here: bool = False  # whether the other nodes of the cluster keep what they know


class NetworkChecks(Result, frozen=True, kw_only=True):
    """The findings of the checks of each network."""

    networks: dict[str, tuple[Finding, ...]]


class CheckNetworks(Request[NetworkChecks], frozen=True):
    """Check networks: reachability, credentials, harmful settings, the way back to the bridge. Changes nothing."""

    NAME: ClassVar[str] = "network.check"
    ACCESS: ClassVar[Access] = Access.READ

    network: str | None = None  # null: all of them


class IntegrationSet(Result, frozen=True, kw_only=True):
    changed: bool  # false: it was set already


class SetIntegration(Request[IntegrationSet], frozen=True, kw_only=True):
    """Let a network send the messages of its devices to this bridge. Needs a running service."""

    NAME: ClassVar[str] = "network.integration"
    ACCESS: ClassVar[Access] = Access.ADMIN

    network: NetworkName
    scope: Annotated[
        str, Meta(description="the part of the network (of ChirpStack: an application id); empty: the configured one")
    ] = ""


class DeviceAdded(Result, frozen=True, kw_only=True):
    """A device that is in its network and in the directory."""

    endpoint: EndpointView
    changes: tuple[str, ...]  # descriptions of everything that was created or changed; empty: nothing
    scope: str  # the part of the network in which the device is
    advice: tuple[str, ...]  # what a person should do next


class AddDevice(Request[DeviceAdded], frozen=True, kw_only=True):
    """Create a device in a network that can do so, and its endpoint; a second time changes nothing."""

    NAME: ClassVar[str] = "device.add"
    ACCESS: ClassVar[Access] = Access.ADMIN

    network: NetworkName
    address: Annotated[str, Meta(description="device address")]
    name: Annotated[str, Meta(description="endpoint client name; empty: from the network's name_template")] = ""
    servers: Servers = ()
    confirmed: bool = False
    options: dict[str, str] = msgspec.field(default_factory=dict)
    settings: Annotated[dict[str, Any], Meta(description="settings of the device, as the binding documents them")] = (
        msgspec.field(default_factory=dict)
    )


class AdoptedDevice(Result, frozen=True, kw_only=True):
    address: str
    name: str  # its name in the network
    endpoint: str | None  # its endpoint client name; null: a dry run


class DevicesAdopted(Result, frozen=True, kw_only=True):
    """Devices that had no endpoint; `known` is the number of devices that have one already."""

    items: tuple[AdoptedDevice, ...]
    known: int


class AdoptDevices(Request[DevicesAdopted], frozen=True, kw_only=True):
    """Add an endpoint for every device that a network knows, named by its name_template; all or none."""

    NAME: ClassVar[str] = "device.adopt"
    ACCESS: ClassVar[Access] = Access.ADMIN

    network: NetworkName
    servers: Servers = ()
    dry_run: Annotated[bool, Meta(description="only show which would be adopted")] = False
