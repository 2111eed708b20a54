"""The bodies of 3gpp-nidd as far as the bridge reads them (TS 29.122 §5.6.2).

Every member is optional and every enumeration open here: a SCEF of an older or newer release, or one that departs from
the standard, is read as far as possible. Mandatory members are checked where they are used.
"""

from codecs import BOM_UTF8
from collections.abc import Callable
from typing import Any

import msgspec

from bindings.contract import NetworkState, Refusal
from bindings.t8.reading import UNREADABLE, decode_data, explained
from bridge.errors import NotificationError

LARGEST_RDS_PORT = 15  # TS 24.250 §6.2.2: four bits


class Configuration(msgspec.Struct, gc=False):
    """NiddConfiguration in a SCEF's answer."""

    self: str | None = None
    externalId: str | None = None  # noqa: N815  # the standard's spelling, and decoded by name
    msisdn: str | None = None
    notificationDestination: str | None = None  # noqa: N815
    supportedFeatures: str | None = None  # noqa: N815
    duration: str | None = None
    maximumPacketSize: int | None = None  # noqa: N815  # bits
    rdsPorts: Any = None  # noqa: N815
    status: str | None = None


class Delivery(msgspec.Struct, gc=False):
    """NiddDownlinkDataTransfer in a SCEF's answer; `status` is one operator's name for deliveryStatus."""

    self: str | None = None
    data: str | None = None
    deliveryStatus: str | None = None  # noqa: N815
    status: str | None = None
    requestedRetransmissionTime: str | None = None  # noqa: N815
    rdsPort: Any = None  # noqa: N815

    @property
    def state(self) -> str | None:
        """Return the delivery status under either name."""
        return self.deliveryStatus or self.status

    @property
    def is_one(self) -> bool:
        """Return whether this is a delivery, judged by the members.

        JSON of a gateway may have a `status`, too: SUCCESS and FAILURE alone are words of anybody.
        """
        if self.self or self.data or self.deliveryStatus:
            return True
        return self.status not in {"SUCCESS", "FAILURE"} and delivery_outcome(self.status or "")[1]


class Notification(msgspec.Struct, gc=False):
    """All notifications in one: the member that is present says which one it is (the callback's oneOf is ambiguous)."""

    niddConfiguration: str | None = None  # noqa: N815
    data: bytes | None = None
    externalId: str | None = None  # noqa: N815
    msisdn: str | None = None
    niddDownlinkDataTransfer: str | None = None  # noqa: N815
    deliveryStatus: str | None = None  # noqa: N815
    requestedRetransmissionTime: str | None = None  # noqa: N815
    status: str | None = None
    gmdResults: Any = None  # noqa: N815
    managedPorts: Any = None  # noqa: N815
    rdsPort: Any = None  # noqa: N815
    subscription: str | None = None


class TolerantNotification(Notification, gc=False):
    """The same where `data` is not strict base64, or not even text."""

    data: Any = None


_decode = msgspec.json.Decoder(Notification).decode
_decode_tolerant = msgspec.json.Decoder(TolerantNotification).decode


def read_port(value: Any) -> str | None:
    """Return RDS ports in the form of the endpoint's options, `UE:SCEF`; None for anything else than a pair of them."""
    if not isinstance(value, dict):
        return None
    pair = value.get("portUE"), value.get("portSCEF")
    if not all(type(port) is int and 0 <= port <= LARGEST_RDS_PORT for port in pair):
        return None
    return f"{pair[0]}:{pair[1]}"


def read_notification(body: bytes) -> tuple[Notification, bytes | None]:
    """Return a notification and its data as bytes; data that is not base64 is None.

    Raises NotificationError, and nothing else, for any bytes.
    """
    body = body.removeprefix(BOM_UTF8)  # RFC 8259 §8.1: it may be ignored
    strict = _read(_decode, body)
    if isinstance(strict, Notification):
        return strict, strict.data
    tolerant = _read(_decode_tolerant, body)  # the rest of a notification may be correct even if its data is not
    if isinstance(tolerant, Notification):
        return tolerant, decode_data(tolerant.data)
    is_json = isinstance(tolerant, msgspec.ValidationError)
    raise NotificationError(f"{'no T8 notification' if is_json else 'not JSON'}: {tolerant}")


def _read(decode: Callable[[bytes], Notification], body: bytes) -> Notification | Exception:
    """Return the decoded body, or why it cannot be decoded."""
    try:
        return decode(body)
    except UNREADABLE as error:
        return error


_DELIVERY_STATUS: dict[str, NetworkState | Refusal] = {
    "SUCCESS": NetworkState.SENT,
    "SUCCESS_NEXT_HOP_ACKNOWLEDGED": NetworkState.SENT,  # reached the MME or AMF, no more
    "SUCCESS_NEXT_HOP_UNACKNOWLEDGED": NetworkState.SENT,
    "SUCCESS_ACKNOWLEDGED": NetworkState.DELIVERED,  # by RDS
    "SUCCESS_UNACKNOWLEDGED": NetworkState.SENT,
    "TRIGGERED": NetworkState.BUFFERED,
    "BUFFERING": NetworkState.BUFFERED,
    "BUFFERING_TEMPORARILY_NOT_REACHABLE": NetworkState.BUFFERED,
    "SENDING": NetworkState.BUFFERED,  # forwarded, may be held elsewhere: pending
    "FAILURE": Refusal.FAILED,
    "FAILURE_RDS_DISABLED": Refusal.REJECTED,
    "FAILURE_NEXT_HOP": Refusal.FAILED,
    "FAILURE_TIMEOUT": Refusal.EXPIRED,
    "FAILURE_TEMPORARILY_NOT_REACHABLE": Refusal.UNREACHABLE,
}


_WORDS = {
    "SUCCESS": "sent",
    "SUCCESS_NEXT_HOP_ACKNOWLEDGED": "the network's next node has it",
    "SUCCESS_NEXT_HOP_UNACKNOWLEDGED": "sent to the network's next node",
    "SUCCESS_ACKNOWLEDGED": "the device's modem acknowledged it",
    "SUCCESS_UNACKNOWLEDGED": "sent, and not acknowledged by the device's modem",
    "TRIGGERED": "the device was triggered",
    "BUFFERING": "the network holds it",
    "BUFFERING_TEMPORARILY_NOT_REACHABLE": "the network holds it until the device can be reached",
    "SENDING": "the network is sending it",
    "FAILURE": "the network failed to deliver it",
    "FAILURE_RDS_DISABLED": "the device has no reliable data service",
    "FAILURE_NEXT_HOP": "the network's next node did not take it",
    "FAILURE_TIMEOUT": "its time in the network ended",
    "FAILURE_TEMPORARILY_NOT_REACHABLE": "the device could not be reached",
}


def delivery_words(status: str) -> str:
    """Return a DeliveryStatus in words, the value itself in parentheses; as it is if it is none of the standard."""
    return explained(status, _WORDS)


def delivery_outcome(status: str) -> tuple[NetworkState | Refusal, bool]:
    """Return the meaning of a DeliveryStatus (TS 29.122 §5.6.2.3.2); second: whether the value is one of the standard.

    Other values are read by their first word, and count as pending if that is unknown.
    """
    known = _DELIVERY_STATUS.get(status)
    if known is not None:
        return known, True
    if status.startswith("SUCCESS"):
        return NetworkState.SENT, False
    if status.startswith("FAILURE"):
        return Refusal.FAILED, False
    return NetworkState.BUFFERED, False
