"""What a binding tells the bridge: messages, delivery reports, and what changed on the network."""

from asyncio import Future
from collections.abc import Mapping
from typing import Protocol

import msgspec

from bindings.contract.calls import NetworkState, Refusal
from bindings.provisioning import ProvisioningState


class BindingEvent(msgspec.Struct, frozen=True):
    """Base of the events that a binding delivers to the bridge; not instantiated."""


class UplinkMessage(BindingEvent, frozen=True):
    """Bytes from a device. `duplicate_key` is the network's own id of this message, the same for its duplicates.

    None: the network has none. A device that sends the same bytes again must get another key.

    `received_at` is when the network heard the device, in seconds of the bridge's wall clock as far as the
    binding knows: `Events.now()` for a live message, an earlier time for one from a network's history. The device's
    exchange, and thereby the deadline of an answer, counts from that time.

    `port` is the application port that it came on, written as in the endpoint's option `server_ports` (for RDS the
    ports of the UE and of the SCEF, such as "3:15"); None: the network has no ports, or the message names none.
    """

    device: str
    payload: bytes
    duplicate_key: str | None
    received_at: float
    port: str | None = None


class Report(BindingEvent, frozen=True):
    """What became of a downlink after `submit`. A report may arrive before `submit` has returned."""

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

    With `handle` only that downlink: it is no longer in the network. The downlink may have been transmitted just
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
        `bridge.errors.UnknownDevice` or `bridge.errors.StoreUnavailable` (answer 503: the network should send again);
        in a cluster NotServedHere, which is one: then nothing was taken, and what the network posted is passed on to
        the node that serves the device (`PostListener.pass_on`).
        """

    async def check_served(self, device: str) -> None:
        """Return if this bridge serves a device, or no endpoint has it.

        Call it before anything else is done for a device than to deliver an event. Raises
        `bridge.errors.NotServedHere` as `deliver` does, or StoreUnavailable.
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
        """Return wall-clock seconds, of the clock that the bridge runs on."""

    def count(self, name: str, **labels: str) -> None:
        """Count something that an operator should see: `name` is snake_case and short, labels have few values."""
