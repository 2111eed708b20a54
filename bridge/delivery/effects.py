"""What delivery wants done once its changes are committed."""

from enum import StrEnum

import msgspec

from bindings.contract import Attempt


class Effect(msgspec.Struct, frozen=True):
    """Base of all effects; never made itself."""


class Submit(Effect, frozen=True):
    """Hand the attempt to the network, and say how that went by a `Submitted` event."""

    attempt: Attempt


class LookUp(Effect, frozen=True):
    """Find an attempt of unknown fate in the network's queue; answered by `LookedUp`."""

    attempt: Attempt


class Cancel(Effect, frozen=True):
    """Take an attempt out of the network's queue; answered by `CancelDone`."""

    downlink: int
    number: int
    handle: str


class Count(Effect, frozen=True):
    """Count `name` (snake_case) under `label`; `text` goes to the log, sampled, where it says something new."""

    name: str
    label: str = ""
    text: str = ""


class Direction(StrEnum):
    DOWN = "down"
    UP = "up"


class Settled(Effect, frozen=True):
    """A downlink or uplink reached its outcome."""

    row: int
    direction: Direction
    operation: str
    state: str
    reason: str
    after: float  # seconds since it was accepted or received
