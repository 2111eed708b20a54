"""What an endpoint wants done once its changes are committed: part of the one step's result."""

from dataclasses import dataclass

from bindings.contract import Attempt


class Effect:
    __slots__ = ()


@dataclass(frozen=True, slots=True)
class SendToServer(Effect):
    """A datagram from the endpoint's own address; `secure` asks for the server's DTLS port (R26)."""

    server: str
    data: bytes
    secure: bool = False


@dataclass(frozen=True, slots=True)
class Submit(Effect):
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class LookUp(Effect):
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Cancel(Effect):
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
