"""What each binding must have, and the notes that the bridge keeps for it."""

from asyncio import Future
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from bindings.contract.calls import Cancellation, Lookup, Miss, SouthProfile, Submission, SubmitResult
from bindings.contract.events import Events


class Memory(Protocol):
    """Durable notes of one network instance: key → bytes, written with the group commit.

    A note may belong to a device, if every `put` names the device. Such a note is then read together with the device's
    endpoint, and is in memory as long as the endpoint is. Futures and coroutines raise
    `bridge.errors.StoreUnavailable`, nothing else.
    """

    is_shared: bool
    """Whether the same network instance runs on other nodes, too, which read and write the notes of no device."""

    node: str
    """The name of this node among them; "" if there are none."""

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

    def fresh(self, key: str) -> Future[bytes | None]:
        """Do what `load` does, past what is in memory: for a note of no device that other nodes write, too."""

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

        `config check` does only this. The constructor may be called without an event loop. Raises
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

    async def submit(self, attempt: Submission) -> SubmitResult:
        """Hand one attempt to the network. Never raises: a failure is in the result."""

    async def lookup(self, attempt: Submission) -> Lookup:
        """Ask whether the network's queue has an attempt that is in doubt. Never raises."""

    async def cancel(self, device: str, handle: str) -> Cancellation:
        """Remove a downlink from the network's queue. Never raises."""

    def south_profile(self, device: str) -> SouthProfile:
        """Return the device's current profile; cheap (microseconds), called for every event. Never raises.

        Called while the device's endpoint is in memory: `Memory.held` has the device's notes. Before `start`
        nothing is known of any device, and it is called all the same: servers may be heard before every network is
        started.
        """

    def status(self) -> Mapping[str, Any]:
        """Return the state of this network instance for an operator, as JSON values."""


# Optional abilities. The bridge finds them by type, in the binding's class before an instance is made, and
# its command line offers them for the networks that have them.
