"""Actions that a step asks for; they are carried out after its changes are committed."""

from enum import StrEnum

from bridge.delivery.effects import Cancel, Count, Effect, LookUp, Settled, Submit

__all__ = [
    "Cancel",
    "Count",
    "DirectAnswer",
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
    """A datagram from the endpoint's own address; `secure` asks for the server's DTLS port (R26).

    `row`: it is a message that no server acknowledges. Such a message must not wait for a link that is not open, and an
    event `LeftForServer` with this id says that it left; without that event it is sent again. `first`: it goes before
    what waits because the link has just opened.
    """

    server: str
    data: bytes
    secure: bool = False
    row: int | None = None
    first: bool = False


class ServerSilent(Effect, frozen=True):
    """A server did not acknowledge a message through all retransmissions: its name may have another address now."""

    server: str


class Noted(StrEnum):
    """What a server's answer means for the endpoint's registration there."""

    BEGUN = "begun"
    CONFIRMED = "confirmed"  # by the answer to an Update
    ENDED = "ended"


class RegistrationNoted(Effect, frozen=True):
    """A server answered a Register, Update or De-register: the endpoint's relay row has the registration."""

    server: str
    what: Noted


class DirectAnswer(Effect, frozen=True):
    """What becomes of a `DirectRequest`: it is accepted and committed (`code` 0), or refused."""

    downlink: int
    code: int = 0  # the CoAP code that a server would be answered
    text: str = ""  # why it is refused
    superseded: tuple[int, ...] = ()  # downlinks that made way, or are to be taken back by the network


class WakeUp(Effect, frozen=True):
    """Ask another endpoint of the same device to send a trigger: an Execute of /1/`instance`/`resource`."""

    endpoint: str  # its name
    instance: int
    resource: int
    deliver_by: float  # wall-clock seconds; after that the trigger is not needed
