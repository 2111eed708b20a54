"""What the one step wants done once its changes are committed."""

from bridge.delivery.effects import Cancel, Count, Effect, LookUp, Settled, Submit

__all__ = ["Cancel", "Count", "Effect", "LookUp", "SendToServer", "ServerSilent", "Settled", "Submit"]


class SendToServer(Effect, frozen=True):
    """A datagram from the endpoint's own address; `secure` asks for the server's DTLS port (R26)."""

    server: str
    data: bytes
    secure: bool = False


class ServerSilent(Effect, frozen=True):
    """A server left a message unacknowledged through all retransmissions: its name may lead elsewhere by now."""

    server: str
