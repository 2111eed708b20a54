"""What the one step wants done once its changes are committed."""

from enum import StrEnum

from bridge.delivery.effects import Cancel, Count, Effect, LookUp, Settled, Submit

__all__ = [
    "Cancel",
    "Count",
    "Effect",
    "LookUp",
    "Noted",
    "RegistrationNoted",
    "SendToServer",
    "ServerSilent",
    "Settled",
    "Submit",
    "WakeUp",
]


class SendToServer(Effect, frozen=True):
    """A datagram from the endpoint's own address; `secure` asks for the server's DTLS port (R26)."""

    server: str
    data: bytes
    secure: bool = False


class ServerSilent(Effect, frozen=True):
    """A server left a message unacknowledged through all retransmissions: its name may lead elsewhere by now."""

    server: str


class Noted(StrEnum):
    """What a server's answer says of the endpoint's registration there."""

    BEGUN = "begun"
    CONFIRMED = "confirmed"  # by the answer to an Update
    ENDED = "ended"


class RegistrationNoted(Effect, frozen=True):
    """A server has answered a Register, Update or De-register: the endpoint's relay row has the registration."""

    server: str
    what: Noted


class WakeUp(Effect, frozen=True):
    """Have another endpoint, which reaches the same device, carry a trigger: an Execute of /1/`instance`/`resource`."""

    endpoint: str  # its name
    instance: int
    resource: int
    deliver_by: float  # wall-clock seconds; later it is of no use
