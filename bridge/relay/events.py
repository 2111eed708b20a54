"""What can happen to an endpoint: the second argument of the one step."""

from dataclasses import dataclass

from bindings.contract import Cancellation, Lookup, NetworkState, Refusal, SubmitResult


class Event:
    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Started(Event):
    """The endpoint's rows were loaded by a process that did not know them (R32)."""


@dataclass(frozen=True, slots=True)
class Tick(Event):
    """Time passed: whatever is due is done."""


@dataclass(frozen=True, slots=True)
class ServerDatagram(Event):
    """A datagram from a server to this endpoint's own address."""

    server: str  # Server.key
    data: bytes


@dataclass(frozen=True, slots=True)
class DeviceMessage(Event):
    """Bytes from the device. `duplicate_key` is the network's own id of the message, where it has one."""

    data: bytes
    duplicate_key: str | None = None


@dataclass(frozen=True, slots=True)
class Submitted(Event):
    """The network answered an attempt, or failed to."""

    downlink: int
    attempt: int
    result: SubmitResult


@dataclass(frozen=True, slots=True)
class Reported(Event):
    """The network says what became of a downlink."""

    handle: str
    outcome: NetworkState | Refusal | None
    detail: str = ""
    retry_at: float | None = None
    nack: bool = False


@dataclass(frozen=True, slots=True)
class LookedUp(Event):
    downlink: int
    attempt: int
    result: Lookup


@dataclass(frozen=True, slots=True)
class CancelDone(Event):
    downlink: int
    result: Cancellation


@dataclass(frozen=True, slots=True)
class DeviceReachable(Event):
    until: float | None = None


@dataclass(frozen=True, slots=True)
class DeviceJoined(Event):
    """MIDs and frame counters of the device start again (R13); what the network held is gone, unless `queue_kept`."""

    queue_kept: bool = False


@dataclass(frozen=True, slots=True)
class NetworkFlushed(Event):
    """What the network held for the device is gone (R31), or only the downlink under `handle`."""

    detail: str = ""
    handle: str | None = None


@dataclass(frozen=True, slots=True)
class NorthChanged(Event):
    """The endpoint's own address toward a server, or the server itself, changed (R24)."""


@dataclass(frozen=True, slots=True)
class CancelAsked(Event):
    """A person or program asks to cancel a downlink."""

    downlink: int


@dataclass(frozen=True, slots=True)
class EndpointRemoved(Event):
    """The endpoint leaves the directory, or is disabled: whatever waits gets its outcome now."""

    why: str = "the endpoint was removed"
