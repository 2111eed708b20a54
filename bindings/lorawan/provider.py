"""What the binding needs of a LoRaWAN network server: calls, values and events. ChirpStack v4 is the first provider.

A provider uses the API of one product and reads its events. A provider stores nothing about a device, and decides
nothing about a downlink: the binding does, in the same way for all products.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from math import inf
from typing import Any, Protocol

import msgspec

from bindings.contract import Memory, PostListener, ReadNote
from bindings.diagnosis import Finding
from bindings.lorawan.network_events import NetworkEvent
from bindings.lorawan.notes import Profile
from bindings.lorawan.wanted_device import ProvisioningResult, WantedDevice
from bindings.shown_calls import Seen

PortsOf = Callable[[str], Awaitable[tuple[int, ...]]]
"""Returns the FPorts of a device's LwM2M messages. Raises StoreUnavailable."""


class NewItem(msgspec.Struct, frozen=True):
    """A downlink for a device's queue.

    `expires_at`: wall-clock seconds, None: it does not expire. `f_cnt_down`: the frame counter with which `data` is
    encrypted, and which the frame must have; None: the network server encrypts it.
    """

    device: str
    f_port: int
    data: bytes
    confirmed: bool = False
    expires_at: float | None = None
    f_cnt_down: int | None = None


class QueuedItem(msgspec.Struct, frozen=True):
    """A downlink in a device's queue.

    `pending`: it was transmitted, and the device's acknowledgement is expected. `f_cnt_down`: the frame counter that
    it got when it was last sent to a gateway; 0 also if it never was. For an `encrypted` item, the application set it.
    """

    id: str
    f_port: int
    data: bytes
    confirmed: bool = False
    pending: bool = False
    expires_at: float | None = None
    f_cnt_down: int = 0
    encrypted: bool = False


class ServerRecord(msgspec.Struct, frozen=True):
    """The network server's record of a device.

    `device_class` is A, B or C, empty if it is none of these. `last_seen_at`: by the server's wall clock, None: never.
    """

    profile: str
    device_class: str
    last_seen_at: float | None = None
    skip_f_cnt_check: bool = False
    disabled: bool = False
    elsewhere: bool = False  # in another application than the network instance's


class Session(msgspec.Struct, frozen=True):
    """A device's session in the network server: the counters that it expects next."""

    dev_addr: str
    f_cnt_up: int
    f_cnt_down: int  # of the downlinks that carry application data


class DeviceSnapshot(msgspec.Struct, frozen=True):
    """The network server's record of a device, and the device's session at the same moment. None: it has no session."""

    server_record: ServerRecord
    session: Session | None


class Sink(Protocol):
    """The receiver of a provider's events."""

    def commit(self, event: NetworkEvent, *, within: float = inf) -> Awaitable[None]:
        """Commit an event; only after that the network server may be answered.

        `within`: only if it was made in the last so many seconds, it did not wait before it came here, such as at a
        broker or at another node; 0 where nothing is known of that. Raises, now or when awaited,
        StoreUnavailable; NotServedHere, which is one, if another node serves the device: then pass the event on.
        """

    def lost(self, device: str) -> None:
        """Learn that an event about a device was not committed, and that the network server does not bring it again."""

    def missed(self) -> None:
        """Learn that events may have been lost."""

    def count(self, name: str, **labels: str) -> None:
        """Increment a counter for operators."""


class Provider(Protocol):
    """One network server. Methods that call it raise `bridge.errors.CallFailed`, and nothing else unless they say so.

    All methods may be called before `listen`, but none before `open`.
    """

    @property
    def up(self) -> bool | None:
        """Return whether the last call was answered; None: no call was made."""

    calls_seen: Seen | None
    """Shows calls about a device: see `bindings.contract.ShowsCalls`."""

    @property
    def capacity(self) -> int:
        """Return how many calls there can be at the same time."""

    @property
    def answers_pass(self) -> bool:
        """Return whether `enqueue` can put an item before others (`passing`) without removing a pending one."""

    async def open(self) -> None:
        """Prepare for calls; connect with the first one."""

    async def inherit(self, earlier: "Provider") -> None:
        """Take over what an earlier instance listens with, if this one can use it; until `listen`, events wait there.

        Raises BindingError (a port is taken): then nothing has changed.
        """

    @property
    def posts(self) -> PostListener | None:
        """Return the listener for events that are posted; None if events come in another way."""

    async def receive(self, note: ReadNote) -> bool:
        """Open the listener of `posts`: see `bindings.contract.ReceivesPosts`; False if there is none."""

    async def listen(self, sink: Sink, memory: Memory) -> None:
        """Begin to accept events. Raises BindingError (a port is taken), StoreUnavailable."""

    async def commit_for_others(self, alive: Callable[[], Collection[str]]) -> None:
        """Take, until cancelled, events that wait for nodes that are gone; `alive` returns the names of the others.

        Called while it listens, on one of several nodes.
        """

    async def stop_listening(self) -> None:
        """Accept no more events; wait until running ones are committed."""

    async def close(self) -> None:
        """Close all connections; calls under way fail."""

    # GuardedCalls

    async def ping(self) -> None:
        """Make a cheap call: does the network server answer, and does it accept the key?"""

    async def enqueue(self, item: NewItem, *, passing: bool) -> str:
        """Add an item to a device's queue and return its id.

        `passing`: everything in the queue that is not pending is removed first.
        """

    async def next_f_cnt_down(self, device: str) -> int:
        """Return the frame counter that the next downlink with application data will have, after the queued ones."""

    async def queue(self, device: str) -> list[QueuedItem]:
        """Return a device's queue, oldest item first."""

    async def flush(self, device: str) -> None:
        """Remove everything from a device's queue."""

    async def server_record(self, device: str) -> ServerRecord:
        """Return the network server's record of a device."""

    async def snapshot(self, device: str) -> DeviceSnapshot:
        """Return the network server's record of a device, and the device's session, as of one moment."""

    async def radio(self, profile: str, region_config: str) -> Profile:
        """Return the parameters of sizes and sessions in a device profile and the region's configuration."""

    def history(self, device: str, *, expected: bool) -> AsyncGenerator[NetworkEvent]:
        """Yield the retained events of a device in the order in which they happened, until nothing more comes.

        Silence does not prove the end. `expected`: there are retained events, so that the first one is waited
        for as long as for any answer.
        """

    @property
    def why_cut_off(self) -> str:
        """Return in words why a history may be incomplete, and the cure."""

    # For people

    def status(self) -> Mapping[str, Any]:
        """Return the state for an operator, as JSON values."""

    async def check(self, ports_of: PortsOf) -> list[Finding]:
        """Check the network server's set-up; changes nothing. Works before `listen`, too.

        `ports_of` returns the FPorts of a device's LwM2M messages.
        """

    async def make_device(self, wanted: WantedDevice) -> ProvisioningResult:
        """Create a device as wanted, and everything that it needs; a second time changes nothing.

        Raises ConfigurationError, BindingError.
        """

    async def devices(self) -> list[tuple[str, str]]:
        """Return DevEUI and name of every device of the application. Raises ConfigurationError, BindingError."""

    async def set_integration(self, application_id: str) -> bool:
        """Let the network server send its events to the bridge; return whether that was new. Raises BindingError."""
