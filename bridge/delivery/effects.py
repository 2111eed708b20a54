"""Actions that delivery asks for; they are carried out after its changes are committed."""

from enum import StrEnum

import msgspec

from bindings.contract import Submission


class Effect(msgspec.Struct, frozen=True):
    """Base of all effects; not instantiated."""


class Submit(Effect, frozen=True):
    """Hand the attempt to the network; a `Submitted` event returns the result."""

    attempt: Submission


class LookUp(Effect, frozen=True):
    """Ask the network whether it has an attempt in doubt; a `LookedUp` event returns the result."""

    attempt: Submission


class Cancel(Effect, frozen=True):
    """Remove an attempt from the network's queue; a `CancelDone` event returns the result."""

    downlink: int
    number: int
    handle: str


class Count(Effect, frozen=True):
    """Count `name` (snake_case) under `label`; `text` is logged, sampled, if it differs from the label."""

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
