"""What delivery wants done once its changes are committed."""

from dataclasses import dataclass

from bindings.contract import Attempt


class Effect:
    """Base of all effects; never made itself."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Submit(Effect):
    """Hand the attempt to the network, and say how that went by a `Submitted` event."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class LookUp(Effect):
    """Find an attempt of unknown fate in the network's queue; answered by `LookedUp`."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Cancel(Effect):
    """Take a downlink out of the network's queue; answered by `CancelDone`."""

    downlink: int
    handle: str


@dataclass(frozen=True, slots=True)
class Count(Effect):
    """Count `name` (snake_case) under `label`; `text` goes to the log, sampled, where it says something new."""

    name: str
    label: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Settled(Effect):
    """A downlink or uplink reached its outcome."""

    row: int
    direction: str  # "down" or "up"
    operation: str
    state: str
    reason: str
