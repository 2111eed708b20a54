"""What a binding may offer beyond the contract: a runtime-checkable protocol for each ability."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from bindings.contract.binding import Memory
from bindings.contract.events import Events
from bindings.diagnosis import Finding


class Post(msgspec.Struct, frozen=True):
    """What a network posted to a network instance, after it was authenticated, and decoded (Content-Encoding).

    `sub_path`: the part of the path behind the instance's own; "" for none. If the instance reads the part before its
    own, too, that part and a slash come first.
    """

    sub_path: str
    query: str
    body: bytes


Keep = Callable[[Post], Awaitable[object]]
"""Commits a post as it came; only then answer the network. Raises `bridge.errors.StoreUnavailable`."""

PassOn = Callable[[Post, int], Awaitable[object]]
"""Commits a post as it came for the node that holds this shard; only then answer the network.

Raises `bridge.errors.StoreUnavailable`.
"""

ReadNote = Callable[[str], Awaitable[bytes | None]]
"""Returns a note of the network instance by its key, without changing any. Raises StoreUnavailable."""


class PostListener(Protocol):
    """Where a network instance is posted to. Whoever serves another part of the bridge's devices may receive for it."""

    keep: Keep | None
    """What takes each post; None: the instance itself does."""

    pass_on: PassOn | None
    """What takes a post for whose device the instance gets `bridge.errors.NotServedHere`; None: nobody, answer 503."""

    def pause(self) -> None:
        """Let posts wait until `proceed`."""

    def proceed(self) -> None:
        """Have posts taken again, those that waited first."""

    def commit_kept(self, post: Post) -> Awaitable[object]:
        """Interpret a post that was kept, and commit what it changes.

        Raises, now or when awaited, NotificationError, UnknownDevice or StoreUnavailable, as for one that just came.
        """

    async def stop(self) -> None:
        """Accept nothing more, and answer running requests; harmless if it does not listen."""


@runtime_checkable
class ReceivesPosts(Protocol):
    """A network instance that can receive posts before it is started, for a bridge that serves the ledger elsewhere."""

    @property
    def posts(self) -> PostListener | None:
        """Return the listener for posts; None if the network posts nothing to this instance."""

    async def receive(self, note: ReadNote) -> bool:
        """Open the listener of `posts`, whose `keep` is set; `start` then goes on with it.

        Return False if the path is not known yet: it is in a note that the first start of all makes. Raises
        BindingError (port taken), StoreUnavailable.
        """


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
        """Return whether the network instance takes messages now."""


@runtime_checkable
class RunsOnNodes(Protocol):
    """A network instance that can run on several nodes of a cluster at once, each of which serves some devices.

    `Memory.items` then yields the notes of this node's devices, and those of no device. `Memory.put` of a note of
    another node's device raises StoreUnavailable.
    """

    def device_came(self, device: str) -> None:
        """Forget what is cached of a device that another node has served so far; `provision` follows."""


@runtime_checkable
class ReleasesDevices(Protocol):
    """A network instance on several nodes that keeps state of devices in memory."""

    async def devices_left(self, devices: Collection[str], *, late: bool = False) -> None:
        """Write what is not written yet of these devices, stop work for them, and forget them.

        Another node serves them from now on: it is called when no message and no call of them is under way here, and
        before any other node can change their notes. `late`: it could not be called then, so another node may have
        changed them: nothing is written. Never raises.
        """


@runtime_checkable
class ReadsShards(Protocol):
    """A network instance on several nodes that has to read more than the devices whose endpoints the node serves."""

    def shards_came(self) -> None:
        """Read again what other nodes have noted of this node's devices: shards were taken, `device_came` was called.

        Among the notes may be those of devices whose endpoint was removed, which are called for nowhere else.
        """


@runtime_checkable
class WorksForAllNodes(Protocol):
    """A network instance on several nodes with work that one of them does for all."""

    async def work_for_all_nodes(self, alive: Callable[[], Collection[str]]) -> None:
        """Work until cancelled, or until nothing is to be done. `alive` returns the names of the living nodes.

        The names are those that this node saw lately, its own (`Memory.node`) among them; none before its first look.
        For a moment two nodes may work. Called when the instance runs.
        """

    def node_was_lost(self, node: str) -> None:
        """Learn, on each node, that another one has ended without handing over: what came to it may be lost."""


@runtime_checkable
class ChecksForNodes(Protocol):
    """A network instance that runs on several nodes only with certain settings."""

    def check_for_nodes(self) -> None:
        """Raise `bridge.errors.ConfigurationError` as `Binding.__init__` does, if several nodes cannot use these."""


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
        """Return whether the latest call of the network's API was answered; None before the first one."""


class DeviceState(msgspec.Struct, frozen=True):
    """What a network reported of a device that cannot be reached now. Times are wall-clock seconds.

    This state is shown to people only: messages are submitted nevertheless, since a report may be old.
    """

    since: float
    detail: str  # what the network reported, without the time
    until: float | None = None  # when the device listens again, as far as the network says


@runtime_checkable
class KnowsDevices(Protocol):
    """A network instance whose network reports that a device cannot be reached."""

    def device_state(self, device: str) -> DeviceState | None:
        """Return the latest such report on a device; None: there is none, or the device was heard since."""


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


@runtime_checkable
class ExplainsOptions(Protocol):
    """A network instance that can say more about options of endpoints which it accepts."""

    def explain_options(self, options: Mapping[str, str]) -> Sequence[str]:
        """Return sentences for people about options that `ChecksOptions.check_options` accepts."""


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
