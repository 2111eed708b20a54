"""What can happen to an endpoint: the second argument of the one step."""

import msgspec

from bindings.contract import Cancellation, Lookup, NetworkState, Refusal, SubmitResult
from bridge.coap.message import Option
from bridge.delivery.direct import DirectNote


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all events; never made itself.

    `inbox`: the id of the row of the inbox that the event came from, which is removed with the changes of its step; 0:
    it came directly.
    """

    inbox: int = 0


class Started(Event, frozen=True):
    """The endpoint's rows were loaded after a restart of the service (R32)."""


class Tick(Event, frozen=True):
    """Time passed: everything that is due is done."""


class ServerDatagram(Event, frozen=True):
    """A datagram from a server to this endpoint's own address."""

    server: str  # Server.key
    data: bytes


class DeviceMessage(Event, frozen=True):
    """Bytes from the device. `duplicate_key` is the network's own id of the message, where it has one.

    `heard_at` is the wall time at which the network heard it, if it arrives later than that; else None. `port` is the
    application port that it came on, if the network has ports and names it. `kept_at` is the wall time at which its
    network was told that it is kept, if it has waited in the inbox since; else None.
    """

    data: bytes
    duplicate_key: str | None = None
    heard_at: float | None = None
    port: str | None = None
    kept_at: float | None = None


class Submitted(Event, frozen=True):
    """The network answered an attempt, or failed to."""

    downlink: int
    attempt: int
    result: SubmitResult


class Reported(Event, frozen=True):
    """The network says what became of a downlink."""

    handle: str
    outcome: NetworkState | Refusal | None
    detail: str = ""
    retry_at: float | None = None
    nack: bool = False


class LookedUp(Event, frozen=True):
    """The network said whether it has an attempt, or failed to."""

    downlink: int
    attempt: int
    result: Lookup


class CancelDone(Event, frozen=True):
    """The network answered a cancel, or failed to."""

    downlink: int
    attempt: int
    result: Cancellation


class DeviceReachable(Event, frozen=True):
    """The network says that the device can be reached; `heard_at`: the wall time when it said so, None: now."""

    heard_at: float | None = None


class DeviceJoined(Event, frozen=True):
    """The device's message IDs and frame counters start again (R13); unless `queue_kept`, the queue was emptied."""

    queue_kept: bool = False


class NetworkFlushed(Event, frozen=True):
    """The network's queue for the device was emptied (R31), or lost only the downlink with this `handle`."""

    detail: str = ""
    handle: str | None = None


class LeftForServer(Event, frozen=True):
    """A message of a device that its server does not acknowledge was handed to the system (`SendToServer.row`)."""

    row: int


class AddressCame(Event, frozen=True):
    """The endpoint's own address is on this node now: nothing that waits for a server has been sent until now."""


class LinkOpened(Event, frozen=True):
    """A session or connection with a server is open; `new_address`: the server sees the endpoint at another address."""

    server: str
    new_address: bool


class NorthChanged(Event, frozen=True):
    """The endpoint's own address toward a server, or the server itself, changed (endpoint that moved, R24)."""


class DirectRequest(Event, frozen=True):
    """Somebody asks by the API for a request to the device. A `DirectAnswer` says whether it is accepted.

    `id` is the downlink's. `options` and `payload` are the message's, and `note` is kept with it. Of `supersedes`,
    which are downlinks, those make way that are not out yet.
    """

    id: int
    code: int
    options: tuple[Option, ...]
    payload: bytes
    note: DirectNote
    deliver_by: float | None = None  # wall time; None: as the endpoint's settings say
    priority: int = 0  # a larger one goes first
    confirmed: bool = False
    supersedes: tuple[int, ...] = ()


class ServersChanged(Event, frozen=True):
    """Servers were added, changed or removed: what waits toward one that is no longer the endpoint's ends."""


class NetworkRemoved(Event, frozen=True):
    """The endpoint's network is not configured any more: what waits for the device ends; what it sent goes on."""


class CancelAsked(Event, frozen=True):
    """A person or program asks to cancel a downlink."""

    downlink: int


class EndpointRemoved(Event, frozen=True):
    """The endpoint was removed from the directory, or disabled: every message gets its outcome now."""

    why: str = "the endpoint was removed"


class TriggerAsked(Event, frozen=True):
    """Another endpoint of the same device asks for a trigger: an Execute of /1/`instance`/`resource`."""

    instance: int
    resource: int
    deliver_by: float
