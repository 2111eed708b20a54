"""Endpoints: endpoints, their networks, device addresses and servers."""

from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, Struct, UnsetType

from bindings.provisioning import ProvisioningState
from bridge.delivery.states import DownlinkState
from bridge.north.contract import LinkState
from bridge.operations.types.request import PAGE, Access, Cursor, Limit, Name, Request, Result
from bridge.store.order import Order

MOST_EXPLAINED = 500  # endpoints on a page: the state of each is read
Servers = Annotated[tuple[str, ...], Meta(description="its LwM2M servers, the default one first; none: the configured")]
Ttl = Annotated[
    float | None, Meta(description="seconds that a request may wait for it; null: as configured for the server")
]
ObjectList = Annotated[str | None, Meta(description="CoRE links for a Register that has none")]
Address = Annotated[str, Meta(description="device address: External Identifier or MSISDN, DevEUI")]


class EndpointView(Result, frozen=True, kw_only=True):
    """An endpoint of the directory."""

    name: str
    network: str
    address: str
    servers: tuple[str, ...]
    profile: str  # server profile; "": the servers' own
    default_ttl: float | None
    object_list: str | None
    confirmed: bool  # requests are sent in the network's confirmed mode
    options: dict[str, str]  # settings for the binding
    enabled: bool
    created_at: float
    changed_at: float
    scheme: str  # of its addresses toward servers: prefix or ports; "": none assigned yet
    seen_as: tuple[str, ...]  # HOST:PORT that servers see, one for each address family


class ProvisioningView(Result, frozen=True, kw_only=True):
    """Whether the endpoint's network carries its device's data to the bridge."""

    state: ProvisioningState
    reason: str  # why provisioning failed, or has to be done again
    since: float | None  # null: unknown yet
    retry_at: float | None  # when it is tried again automatically


class RegistrationState(Result, frozen=True, kw_only=True):
    """A registration of the endpoint's device, as its server confirmed it."""

    server: str
    path: str  # the Location that the server chose
    lifetime: float  # seconds
    since: float
    renewed_at: float  # time of the server's answer to the latest Register or Update
    late: bool  # nine tenths of its lifetime have passed since it was renewed: the device is about to be lost
    lapses_at: float  # unless the device updates it before
    live: bool  # whether the registration has not lapsed


class SeenView(Result, frozen=True, kw_only=True):
    """The latest message in one direction. Its row may be gone from the ledger."""

    id: int
    at: float


class EndpointItem(EndpointView, frozen=True, kw_only=True):
    """An endpoint and its state."""

    provisioning: ProvisioningView
    registrations: tuple[RegistrationState, ...]  # empty if the bridge cannot read them: DTLS, OSCORE
    last_uplink: SeenView | None  # from the device; null: none yet
    last_downlink: SeenView | None  # to the device
    waiting: int  # downlinks without an outcome
    application_ports: dict[str, str]  # by which device and network know each server; none: they know no ports
    shard: int
    node: str | None  # of the cluster, that serves it; "": none does at this moment; null: there is no cluster


class EndpointPage(Result, frozen=True, kw_only=True):
    """Endpoints in the requested order."""

    items: tuple[EndpointItem, ...]
    next: str | None  # cursor of the page after this one; null: this is the last
    time: float  # by the bridge's clock, at which this was so


class EndpointFilter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A filter of endpoints: all given conditions must hold."""

    network: str | None = None
    server: str | None = None
    enabled: bool | None = None
    prefix: Annotated[str, Meta(description="beginning of the name")] = ""
    text: Annotated[str, Meta(description="somewhere in the name or address, whatever the case")] = ""
    provisioning: tuple[ProvisioningState, ...] = ()
    registered: Annotated[bool | None, Meta(description="whether a registration is live")] = None
    waiting: Annotated[bool | None, Meta(description="whether a downlink has no outcome yet")] = None
    silent_for: Annotated[
        Annotated[float, Meta(ge=0)] | None, Meta(description="seconds without a message from the device")
    ] = None


class ListEndpoints(EndpointFilter, Request[EndpointPage], frozen=True, kw_only=True):
    """List endpoints and the state of each, a page at a time."""

    NAME: ClassVar[str] = "endpoint.list"
    ACCESS: ClassVar[Access] = Access.READ

    sort: Order = Order.NAME
    descending: bool = False
    after: Cursor = ""
    limit: Limit = PAGE


class EndpointCount(Result, frozen=True, kw_only=True):
    endpoints: int


class CountEndpoints(EndpointFilter, Request[EndpointCount], frozen=True, kw_only=True):
    """Count the endpoints for which all given conditions hold."""

    NAME: ClassVar[str] = "endpoint.count"
    ACCESS: ClassVar[Access] = Access.READ


class NetworkSummary(Result, frozen=True, kw_only=True):
    """Numbers of one network's endpoints."""

    enabled: int
    disabled: int
    provisioning: dict[ProvisioningState, int]  # of those that are enabled


class FleetSummary(Result, frozen=True, kw_only=True):
    """Numbers of all endpoints and of what is under way, as they were some seconds ago."""

    time: float
    networks: dict[str, NetworkSummary]
    registered: int  # endpoints with a live registration at some server
    downlinks: dict[DownlinkState, int]  # messages to devices without an outcome, by state
    uplinks: int  # messages from devices that wait for their server


class SummarizeEndpoints(Request[FleetSummary], frozen=True):
    """Say how the fleet is, in numbers. They are counted every 15 seconds at most, however many ask."""

    NAME: ClassVar[str] = "endpoint.summary"
    ACCESS: ClassVar[Access] = Access.READ


class ShowEndpoint(Request[EndpointView], frozen=True):
    """Show the settings of one endpoint."""

    NAME: ClassVar[str] = "endpoint.show"
    ACCESS: ClassVar[Access] = Access.READ

    name: Name


class GetEndpointState(Request[EndpointItem], frozen=True):
    """Show one endpoint and its state."""

    NAME: ClassVar[str] = "endpoint.state"
    ACCESS: ClassVar[Access] = Access.READ

    name: Name


class Waiting(Result, frozen=True, kw_only=True):
    """A message to a device without an outcome, and the reason for its state."""

    downlink: int
    operation: str
    kind: str
    target: str  # path and queries of a server's request; "" where the bridge cannot read them
    server: str  # that sent it; "": the bridge's answer to the device's own request
    state: DownlinkState
    since: float
    why: str
    next_at: (
        float | None
    )  # the latest time at which something happens without an event; null: only an event can change it
    deliver_by: float | None
    answer_by: float | None
    attempts: int
    blocked_by: int | None  # the downlink that it waits for


class LinkView(Result, frozen=True, kw_only=True):
    """The link between an endpoint and one of its servers."""

    server: str
    state: LinkState
    reason: str  # why it is failing or was closed; empty if nothing is wrong
    retry_in: float | None  # seconds until it is tried again automatically; null: with the next message


class RegistrationView(Result, frozen=True, kw_only=True):
    """An endpoint's registration with one of its servers, as far as the bridge knows."""

    server: str
    path: str  # the Location that the server chose
    since: float
    renewed_at: float  # time of the latest Register or Update that the server accepted
    lifetime: float  # seconds from that time, unless it is renewed again
    late: bool  # nine tenths of that have passed: the device is about to be lost
    observations: int  # observations of this server
    awake_until: float | None = None
    """Until when the server takes the device for awake, as far as the bridge knows; it sends nothing later. None: the
    server was not told that the device sleeps, and sends at any time."""


class UnreachableView(Result, frozen=True, kw_only=True):
    """What the network reported of a device that cannot be reached. Messages are submitted nevertheless."""

    since: float
    detail: str
    until: float | None  # when the device listens again; null: the network did not say


class EndpointExplanation(Result, frozen=True, kw_only=True):
    """An endpoint and its state, and every message that waits for its device."""

    endpoint: EndpointItem
    time: float
    unreachable: UnreachableView | None  # null: nothing was reported, or the device was heard since
    links: tuple[LinkView, ...]
    registrations: tuple[RegistrationView, ...]
    waiting: tuple[Waiting, ...]


class ExplainEndpoint(Request[EndpointExplanation], frozen=True):
    """Show why each message to a device is not sent yet. Needs a running service."""

    NAME: ClassVar[str] = "endpoint.explain"
    ACCESS: ClassVar[Access] = Access.READ

    name: Name


class WaitingEndpoint(Result, frozen=True, kw_only=True):
    """What waits for one device, in the order in which it may go."""

    endpoint: str
    network: str
    messages: tuple[Waiting, ...]


class WaitingPage(Result, frozen=True, kw_only=True):
    """Endpoints for which something waits, by name."""

    time: float
    items: tuple[WaitingEndpoint, ...]
    next: str | None  # cursor of the page after this one; null: this is the last


class ListWaiting(Request[WaitingPage], frozen=True, kw_only=True):
    """Say of every message to a device why it is not out yet, and until when it waits. Only a running service can."""

    NAME: ClassVar[str] = "waiting.list"
    ACCESS: ClassVar[Access] = Access.READ

    network: str | None = None
    after: Cursor = ""
    limit: Annotated[int, Meta(ge=1, le=MOST_EXPLAINED, description="endpoints on a page, at most")] = PAGE


class NewEndpoint(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a new endpoint."""

    network: str
    address: Address
    name: Annotated[str, Meta(description="endpoint client name; empty: from the network's name_template")] = ""
    servers: Servers = ()
    profile: str = ""
    default_ttl: Ttl = None
    object_list: ObjectList = None
    confirmed: bool = False
    options: dict[str, str] = {}
    enabled: bool = True


class EndpointsAdded(Result, frozen=True, kw_only=True):
    """The endpoints in the directory, in the order of the request."""

    items: tuple[EndpointView, ...]


class AddEndpoints(Request[EndpointsAdded], frozen=True):
    """Add endpoints, all or none."""

    NAME: ClassVar[str] = "endpoint.add"
    ACCESS: ClassVar[Access] = Access.ADMIN

    endpoints: tuple[NewEndpoint, ...]


class UpdateEndpoint(Request[EndpointView], frozen=True, kw_only=True):
    """Change an endpoint. Settings that are left out stay as they are."""

    NAME: ClassVar[str] = "endpoint.update"
    ACCESS: ClassVar[Access] = Access.ADMIN

    endpoint: Name
    name: str | UnsetType = UNSET
    network: str | UnsetType = UNSET
    address: Address | UnsetType = UNSET
    servers: Servers | UnsetType = UNSET
    profile: str | UnsetType = UNSET
    default_ttl: Ttl | UnsetType = UNSET
    object_list: ObjectList | UnsetType = UNSET
    confirmed: bool | UnsetType = UNSET
    options: Annotated[
        dict[str, str | None] | UnsetType, Meta(description="settings to change; null removes a setting")
    ] = UNSET
    enabled: bool | UnsetType = UNSET


class EnableEndpoint(Request[EndpointView], frozen=True):
    """Enable a disabled endpoint: its messages pass again."""

    NAME: ClassVar[str] = "endpoint.enable"
    ACCESS: ClassVar[Access] = Access.OPERATE

    name: Name


class DisableEndpoint(Request[EndpointView], frozen=True):
    """Disable an endpoint: nothing more is accepted, waiting messages get their outcome.

    The endpoint keeps its address.
    """

    NAME: ClassVar[str] = "endpoint.disable"
    ACCESS: ClassVar[Access] = Access.OPERATE

    name: Name


class ProvisionEndpoint(Request[EndpointView], frozen=True):
    """Ask the endpoint's network again to carry the data of its device. Needs a running service."""

    NAME: ClassVar[str] = "endpoint.provision"
    ACCESS: ClassVar[Access] = Access.OPERATE

    name: Name


class RemoveEndpoint(Request[EndpointView], frozen=True):
    """Remove an endpoint, also from its network; messages that wait get their outcome. Needs a running service."""

    NAME: ClassVar[str] = "endpoint.remove"
    ACCESS: ClassVar[Access] = Access.ADMIN

    name: Name


class Fault(Result, frozen=True, kw_only=True):
    """A line of a file that cannot be imported. The header is line 1."""

    line: int
    reason: str


class ImportedRow(Result, frozen=True, kw_only=True):
    """A line and what became of it, or would in a dry run. `left out`: it is correct, and others are wrong."""

    line: int
    name: str  # "": the line is no endpoint
    outcome: Annotated[str, Meta(description="added, changed, unchanged, wrong or left out")]


class EndpointsImported(Result, frozen=True, kw_only=True):
    """The result of an import, or of its dry run. `unchanged` lines are in the directory already."""

    added: int
    changed: int
    unchanged: int
    faults: tuple[Fault, ...]
    rows: tuple[ImportedRow, ...]  # each line, where the request wants them


IMPORTING = "endpoints are imported"  # the name of this work in the status of the bridge


class ImportEndpoints(Request[EndpointsImported], frozen=True, kw_only=True):
    """Add endpoints from a CSV file: endpoint,network,address,servers,profile,default_ttl,object_list."""

    NAME: ClassVar[str] = "endpoint.import"
    ACCESS: ClassVar[Access] = Access.ADMIN

    csv: Annotated[bytes, Meta(description="the file, UTF-8, in base64")]
    partial: Annotated[bool, Meta(description="import the correct lines even if others are wrong")] = False
    update: Annotated[bool, Meta(description="also change existing endpoints whose settings differ")] = False
    dry_run: Annotated[bool, Meta(description="change nothing: only say what would be done")] = False
    rows: Annotated[bool, Meta(description="report on each line, not on wrong ones only")] = False
