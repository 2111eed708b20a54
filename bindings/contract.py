"""The contract between the bridge and a binding: bytes, sizes and delivery reports, never CoAP.

A binding is found by its entry point in the group ``lwm2m_bridge.bindings``. The bridge makes one instance for each
configured network instance, calls `start` once, then `submit`, `lookup` and `cancel` as its ledger requires, and learns
what happens on the network through `Events.deliver`.

All calls come from one event loop. At most one of `submit`, `lookup` and `cancel` runs for one device at a time, and
no two `submit` calls have the same downlink and number. A method raises what its docstring names and nothing else; if
one of these three raises nevertheless, its result counts as unknown.

All times are wall-clock seconds since the epoch. A *device* is a device address in the form of its network (External
Identifier, MSISDN, DevEUI), canonical by `Binding.canonical_device`.
"""

from asyncio import Future
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, Protocol, runtime_checkable

import msgspec

from bindings.diagnosis import Finding
from bindings.provisioning import ProvisioningState


class Miss(Enum):
    """The result of a lookup in memory that does not know: the store has to be read."""

    MISS = "miss"


MISS = Miss.MISS


class Kind(StrEnum):
    """Kinds of downlink: a request, an answer to the device's own, opaque bytes (DTLS), a trigger of the bridge."""

    REQUEST = "request"
    ANSWER = "answer"
    OPAQUE = "opaque"
    TRIGGER = "trigger"


class NetworkState(Enum):
    """The state of a downlink in its network. An unknown state counts as BUFFERED: pending, never success."""

    BUFFERED = "buffered"  # the network holds it
    SENT = "sent"  # it left the network
    DELIVERED = "delivered"  # the device's modem or MAC has it


class Refusal(Enum):
    """Why a network refused, or gave up, a downlink. It is certain that the device did not get this attempt.

    What the bridge does next depends on the cause. UNREACHABLE concerns the device: its messages wait until `retry_at`,
    or until it is heard. RATE_LIMITED and FAILED concern the message: only this message waits, and only FAILED counts
    toward `SouthProfile.max_attempts`. NETWORK_UNAVAILABLE concerns the network: all its calls pause, and nothing
    counts.
    """

    TOO_LARGE = "too large"
    UNREACHABLE = "unreachable"  # the device, for now; retry_at may say until when
    RATE_LIMITED = "rate limited"  # quota or 429; retry_at may say until when
    EXPIRED = "expired"  # the network's own deadline passed first
    REJECTED = "rejected"  # it will never accept this one
    FAILED = "failed"  # the network failed to handle this message; it may be tried again
    NETWORK_UNAVAILABLE = "network unavailable"  # no connection, nothing sent, or a 5xx without a cause of the API


class Attempt(msgspec.Struct, frozen=True):
    """One submission of a downlink to a network. `downlink` and `number` together are unique, never reused."""

    downlink: int
    number: int  # from 1
    device: str
    payload: bytes
    kind: Kind
    deadline: float | None = None  # the network must not deliver after it; None: no limit
    confirmed: bool = False
    priority: int = 0  # higher is sent first, if the network has priorities
    options: Mapping[str, str] = {}  # per-endpoint settings of this binding, from the directory
    repeatable: bool = (
        True  # False: the device must never get it twice (R9), so it stays submitted if it may have been sent
    )


class Accepted(msgspec.Struct, frozen=True):
    """The network accepted the attempt. `handle` names it in reports and in `cancel`; None if it has ended already."""

    handle: str | None
    state: NetworkState


class LimitOf(Enum):
    """Whose limit a message was refused for, as far as the binding can tell."""

    DEVICE = "device"  # of this device; or nobody says whose
    NETWORK = "network"  # of all calls of the bridge
    BINDING = "binding"  # the binding's own: it says nothing of the network


class Refused(msgspec.Struct, frozen=True):
    """The network certainly did not accept the attempt. `retry_at` is a wall time; a retry before it is useless.

    With NETWORK_UNAVAILABLE it applies to all calls of the network, and is respected for at most a quarter of an hour.
    With RATE_LIMITED the bridge learns what the network takes, and delays what would be refused: `limit_of` says whose
    limit that is.
    """

    why: Refusal
    detail: str
    retry_at: float | None = None
    limit_of: LimitOf = LimitOf.DEVICE


class Ambiguous(msgspec.Struct, frozen=True):
    """It is unknown whether the network accepted the attempt (a lost answer): the ledger says UNKNOWN."""

    detail: str


SubmitResult = Accepted | Refused | Ambiguous


class Presence(Enum):
    """Whether an attempt is in the network's queue. PRESENT proves that it was accepted; ABSENT proves nothing."""

    PRESENT = "present"
    ABSENT = "absent"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"  # the network could not be asked; ask again later


class Lookup(msgspec.Struct, frozen=True):
    """The result of `Binding.lookup`; `handle` only with PRESENT."""

    presence: Presence
    handle: str | None = None


class Cancellation(Enum):
    """The result of a cancel, as far as the binding is certain of it.

    Only the binding knows when its network transmits, so the bridge believes it: REMOVED becomes EXPIRED
    or CANCELLED in the ledger. A binding that cannot exclude a transmission, also because it was restarted
    since the submit, returns GONE or UNKNOWN.
    """

    REMOVED = "removed"  # it was removed from the network's queue, and cannot have been transmitted before
    GONE = "gone"  # the network no longer had it: transmitted, or ended by the network itself
    UNKNOWN = "unknown"  # unknown, or the network could not be asked; it may still be there


@dataclass(frozen=True, slots=True)
class SouthProfile:
    """What the core must know of a network. Published per device by its binding.

    Sources: RFC 7252 §4.8 for NIDD, OMA Transport App. C.2 for LoRaWAN.
    """

    retransmit_interval: float  # seconds after SENT before the same CoAP message is sent again
    max_retransmit: int
    retransmit_confirmed: bool  # whether CoAP retransmits over a confirmed link as well
    exchange_span: float  # seconds in which the device may repeat its own message with the same MID
    response_timeout: float  # seconds after SENT after which the next request may use the slot
    max_attempts: int  # submissions of one downlink at most
    empty_is_poll: bool  # an Empty message from the device is a poll for downlinks
    quick: bool  # the device may answer within the piggyback window
    can_cancel: bool
    can_expire: bool
    max_downlink: int | None = None  # bytes now; None: not known yet
    max_uplink: int | None = None  # the same for a message of the device
    default_lifetime: int | None = None  # LwM2M lifetime of a Register without one, seconds
    network_up: bool = True  # whether the network can be reached at all now


class BindingEvent(msgspec.Struct, frozen=True):
    """Base of the events that a binding delivers to the bridge; not instantiated."""


class UplinkMessage(BindingEvent, frozen=True):
    """Bytes from a device. `duplicate_key` is the network's own id of this message, the same for its duplicates.

    None: the network has none. A device that sends the same bytes again must get another key.

    `received_at` is when the network heard the device, in seconds of the bridge's wall clock as far as the
    binding knows: `Events.now()` for a live message, an earlier time for one from a network's history. The device's
    exchange, and thereby the deadline of an answer, counts from that time.
    """

    device: str
    payload: bytes
    duplicate_key: str | None
    received_at: float


class Report(BindingEvent, frozen=True):
    """What became of a downlink after `submit`. It may arrive before `submit` has returned."""

    device: str
    handle: str
    outcome: NetworkState | Refusal | None  # None: unknown
    detail: str = ""
    retry_at: float | None = None
    nack: bool = False  # the device did not acknowledge it, but may have it


class Reachable(BindingEvent, frozen=True):
    """The device can be reached now."""

    device: str


class Joined(BindingEvent, frozen=True):
    """The device joined again: its message IDs and frame counters start again (R13).

    The network dropped what it held for the device (R31), unless `queue_kept`.
    """

    device: str
    queue_kept: bool = False


class Flushed(BindingEvent, frozen=True):
    """The network dropped what it held for the device (join, terminated configuration, foreign flush: R31).

    With `handle` only that downlink: it is no longer in the network. It may have been transmitted just
    before; a later report with the same handle still counts, and without one the device may have it.
    """

    device: str
    detail: str = ""
    handle: str | None = None


class Provisioned(BindingEvent, frozen=True):
    """The provisioning state of a device. A binding delivers it at every change; repeating it is harmless.

    `reason`: why it FAILED, or is PENDING again, for people, with the cure if known. `retry_at`: when it
    is tried again automatically; None: not before the next start or change.
    """

    device: str
    state: ProvisioningState
    reason: str = ""
    retry_at: float | None = None


class Events(Protocol):
    """The bridge as a binding sees it; passed to `Binding.start`."""

    def deliver(self, event: BindingEvent) -> Future[None]:
        """Deliver an event. The returned future completes when the event is committed; only then answer the network.

        Events of one device are processed in the order of calls. Never raises; the future raises
        `bridge.errors.UnknownDevice` or `bridge.errors.StoreUnavailable` (answer 503: the network should send again).
        """

    async def add_endpoint(self, device: str, name: str, options: Mapping[str, str]) -> bool:
        """Add an endpoint for a device that the network reported; return whether it is new.

        For networks that report new devices, if the settings allow it. `provision` follows, as for any other.
        Raises `bridge.errors.DirectoryError` if another endpoint has the name, or `bridge.errors.StoreUnavailable`.
        """

    async def has_taken(self, uplink: UplinkMessage, within: float) -> bool:
        """Return whether the ledger has an uplink, or the same bytes of this device at most `within` seconds from it.

        For messages of a network's history, which may have been stored long ago: `deliver` recognises
        duplicates only as long as the device may repeat itself. Raises `bridge.errors.StoreUnavailable`.
        """

    def now(self) -> float:
        """Wall-clock seconds, of the clock that the bridge runs on."""

    def count(self, name: str, **labels: str) -> None:
        """Count something that an operator should see: `name` is snake_case and short, labels have few values."""


class Memory(Protocol):
    """Durable notes of one network instance: key → bytes, written with the group commit.

    A note may belong to a device, if every `put` names the device. It is then read together with the device's endpoint,
    and is in memory as long as the endpoint is. Futures and coroutines raise `bridge.errors.StoreUnavailable`, nothing
    else.
    """

    def cached(self, key: str) -> bytes | Miss:
        """Return a note if it is in memory, else MISS: then await `load`.

        On the hot path, make a coroutine only after a MISS.
        """

    def load(self, key: str) -> Future[bytes | None]:
        """Return a future of a note, or of None if there is none.

        Callers that wait for one key continue in the order of their calls, and `cached` returns MISS until all have
        continued. So events of a device keep their order if each calls `cached`, and on a MISS `load`, before anything
        else.
        """

    def load_with_endpoint(self, key: str) -> Future[bytes | None]:
        """Do what `load` does, and read the endpoint of the note's device with it.

        For a device's message: the `Events.deliver` that follows needs no second read.
        """

    def held(self, key: str) -> bytes | None:
        """Return a note of a device whose endpoint is in memory, for `Binding.south_profile`; None if there is none."""

    def items(self, prefix: str) -> AsyncIterator[tuple[str, bytes]]:
        """Yield all notes whose key starts with `prefix`, in the order of their keys."""

    async def put(self, key: str, value: bytes | None, device: str = "") -> None:
        """Write a note, and return when it is committed. None removes it; `device` is its device, or empty."""


class Binding(Protocol):
    """One configured network instance. Made with its name and its settings, both as the configuration has them."""

    def __init__(self, name: str, settings: Any) -> None:
        """Check the settings without opening anything; files that they name are read.

        `config check` does only this. It may be called without an event loop. Raises
        `bridge.errors.ConfigurationError`: the text begins with the key, such as `api.server`, and says the cure;
        the bridge puts file and section before it.
        """

    @classmethod
    def settings(cls) -> type[Any]:
        """Return the msgspec.Struct type of this binding's section in the configuration; every field documented."""

    async def start(self, events: Events, memory: Memory) -> None:
        """Open listeners and begin to work; return when uplinks can be received, not when all devices are provisioned.

        Raises a `bridge.errors.LocalError` that says what is wrong and the cure: the service does not start then.
        """

    async def stop(self) -> None:
        """Stop accepting first, then finish what is in flight; devices stay provisioned."""

    def canonical_device(self, device: str) -> str:
        """Return the canonical form of a device address. Raises `bridge.errors.ConfigurationError` if it is not one."""

    async def provision(self, device: str, options: Mapping[str, str]) -> None:
        """Make sure, soon, that the network carries this device's data to the bridge; idempotent, paced, resumed.

        Called for every enabled endpoint after each start, and when one is added, changed to another device or enabled.
        Raises `bridge.errors.BridgeError`: it is logged, and tried again at the next start or change. The binding
        reports later progress by `Provisioned`; people see it with the endpoint.
        """

    async def deprovision(self, device: str) -> None:
        """Undo `provision`; idempotent. Raises `bridge.errors.BridgeError`."""

    @property
    def capacity(self) -> int:
        """Return how many of the calls below can run at the same time, at least 1; cheap, never raises.

        The bridge begins no more calls than that, and commits a submission only when its call can begin.
        """

    async def submit(self, attempt: Attempt) -> SubmitResult:
        """Hand one attempt to the network. Never raises: a failure is in the result."""

    async def lookup(self, attempt: Attempt) -> Lookup:
        """Ask whether the network's queue has an attempt that is in doubt. Never raises."""

    async def cancel(self, device: str, handle: str) -> Cancellation:
        """Remove a downlink from the network's queue. Never raises."""

    def south_profile(self, device: str) -> SouthProfile:
        """Return the device's current profile; cheap (microseconds), called for every event. Never raises.

        It is called while the device's endpoint is in memory: `Memory.held` has the device's notes. Before `start`
        nothing is known of any device, and it is called all the same: servers may be heard before every network is
        started.
        """

    def status(self) -> Mapping[str, Any]:
        """Return the state of this network instance for an operator, as JSON values."""


# Optional abilities. The bridge finds them by type, in the binding's class before an instance is made, and
# its command line offers them for the networks that have them.


@runtime_checkable
class ChecksItself(Protocol):
    """A network instance that can check its set-up: `lwm2m-bridge doctor`."""

    async def check(self) -> Sequence[Finding]:
        """Check network, credentials, settings, and whether the network can reach the bridge; change nothing.

        Also called before the start. Raises `bridge.errors.BridgeError` if nothing could be checked.
        """


class Listener(msgspec.Struct, frozen=True):
    """A TCP port on which a network instance listens; 0: any free one. `setting`: the name for operators."""

    setting: str
    host: str
    port: int


@runtime_checkable
class ShowsCalls(Protocol):
    """A network instance that can show its calls of the network's API to people who trace a device."""

    calls_seen: Callable[[str, str], None] | None
    """Called with the device and one line for each call that was about one device: what was asked and answered, without
    secrets and payloads. None while nobody traces: then nothing is made. It never raises."""


@runtime_checkable
class Succeeds(Protocol):
    """A network instance that can take the place of one that runs, after its settings were changed.

    Of a network instance that cannot, the bridge awaits `stop` of the earlier one before `start` of the next; whoever
    calls in between finds nobody.
    """

    async def succeed(self, earlier: Any, events: Events, memory: Memory) -> None:
        """Do what `start` does, in place of a running instance of the same class and name.

        There is no moment in which nobody listens; calls under way at `earlier` finish there, and the bridge begins no
        others until this has returned. The bridge then calls `earlier.stop`, which must leave alone what was passed on.
        Raises what `start` raises; `earlier.runs` then says whether the earlier one goes on.
        """

    @property
    def runs(self) -> bool:
        """Whether it takes messages now."""


@runtime_checkable
class DescribesCounters(Protocol):
    """A network instance whose counters have help texts."""

    def counters(self) -> Mapping[str, str]:
        """Return what each counter counts, by the name that `Events.count` is called with."""


@runtime_checkable
class KnowsReachability(Protocol):
    """A network instance that knows whether its network answers."""

    @property
    def up(self) -> bool | None:
        """Whether the latest call of the network's API was answered; None before the first one."""


@runtime_checkable
class Listens(Protocol):
    """A network instance that listens: `config check` refuses a port that is used twice."""

    def listeners(self) -> Sequence[Listener]:
        """Return its listeners, from its settings."""


@runtime_checkable
class ExplainsSettings(Protocol):
    """A network instance that can say what its settings come to: `lwm2m-bridge config check` shows it."""

    def explain_settings(self) -> Sequence[str]:
        """Return sentences for people, each about what its settings mean together."""


@runtime_checkable
class ChecksOptions(Protocol):
    """A network instance that can check the options of an endpoint before the endpoint is added."""

    def check_options(self, options: Mapping[str, str]) -> None:
        """Raise `bridge.errors.ConfigurationError` for an option that is unknown or has no such value."""


class NetworkDevice(msgspec.Struct, frozen=True):
    """A device that the network knows; `device` in canonical form, `name` is its name in the network."""

    device: str
    name: str = ""


@runtime_checkable
class ListsDevices(Protocol):
    """A network instance that can list its devices: `lwm2m-bridge device adopt`."""

    async def network_devices(self) -> Sequence[NetworkDevice]:
        """Return every device that this instance may see in the network. Also called before the start.

        Raises `bridge.errors.BridgeError`.
        """


class DeviceMade(msgspec.Struct, frozen=True):
    """The result of making a device: it is now in the network as requested.

    `changes`: descriptions of everything that was created or changed; empty: nothing. `scope`: the id of the part of
    the network with the device, for `SetsIntegration`; "" if there is only one part. `advice`: what a person should do
    next. `options`: options that its endpoint needs in addition to those of the caller.
    """

    changes: Sequence[str] = ()
    scope: str = ""
    advice: Sequence[str] = ()
    options: Mapping[str, str] = {}


@runtime_checkable
class MakesDevices(Protocol):
    """A network instance that can make devices in its network: `lwm2m-bridge device add`."""

    @classmethod
    def device_settings(cls) -> type[msgspec.Struct]:
        """Return the settings type of a new device, without address and name.

        Every field has a description; a secret is marked `Meta(extra={"secret": True})`. Each becomes an option of the
        command line.
        """

    async def make_device(self, device: str, name: str, settings: Any) -> DeviceMade:
        """Create a device by an instance of `device_settings`, and everything it needs; a second time changes nothing.

        `device` is canonical, `name` may be empty. Also called before the start. Raises
        `bridge.errors.ConfigurationError` for invalid settings, before anything is created, or another BridgeError that
        says what was created before it.
        """


@runtime_checkable
class SetsIntegration(Protocol):
    """A network instance that can direct its network to this bridge: `lwm2m-bridge device integration`."""

    async def set_integration(self, scope: str = "") -> bool:
        """Let the network send its devices' messages to the bridge; return whether that was new.

        `scope`: the part of the network, if the settings name none. Raises `bridge.errors.BindingError`, also
        while this instance does not run.
        """
