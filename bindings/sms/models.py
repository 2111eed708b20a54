"""The bodies of 3gpp-device-triggering and 3gpp-msisdn-less-mo-sms as far as the bridge reads them.

Every member is optional and every enumeration open, as in `bindings.nidd.models`.
"""

from codecs import BOM_UTF8
from typing import Any

import msgspec

from bindings.contract import NetworkState, Refusal
from bindings.t8.reading import UNREADABLE, explained
from bridge.errors import NotificationError


class Transaction(msgspec.Struct, gc=False):
    """DeviceTriggering in a SCEF's answer (TS 29.122 §5.7.2.1.2)."""

    self: str | None = None
    externalId: str | None = None  # noqa: N815  # the standard's spelling, and decoded by name
    msisdn: str | None = None
    triggerPayload: str | None = None  # noqa: N815
    notificationDestination: str | None = None  # noqa: N815
    deliveryResult: str | None = None  # noqa: N815


class Notification(msgspec.Struct, gc=False):
    """All notifications in one: the member that is present says which one it is."""

    transaction: str | None = None
    result: str | None = None
    sms: Any = None  # base64, as text
    externalId: str | None = None  # noqa: N815
    msisdn: str | None = None
    applicationPort: int | None = None  # noqa: N815
    subscription: str | None = None


_decode = msgspec.json.Decoder(Notification).decode


def read_notification(body: bytes) -> Notification:
    """Return a notification. Raises NotificationError, and nothing else, for any bytes."""
    try:
        return _decode(body.removeprefix(BOM_UTF8))  # RFC 8259 §8.1: it may be ignored
    except msgspec.ValidationError as error:
        raise NotificationError(f"no T8 notification: {error}") from error
    except UNREADABLE as error:
        raise NotificationError(f"not JSON: {error}") from error


_NOBODY_KNOWS = {
    "SUCCESS": NetworkState.DELIVERED,  # by the modem, which is not yet the LwM2M client
    "TRIGGERED": NetworkState.BUFFERED,
    "REPLACED": NetworkState.BUFFERED,
    "UNKNOWN": None,
    "UNCONFIRMED": None,
    "TERMINATE": None,
    "FAILURE": None,
    "EXPIRED": None,
}
_PROOF = {"FAILURE": Refusal.FAILED, "EXPIRED": Refusal.EXPIRED}


_WORDS = {
    "SUCCESS": "the SMS centre delivered it",
    "UNKNOWN": "the SMS centre does not know what became of it",
    "FAILURE": "the SMS centre failed to deliver it",
    "TRIGGERED": "the SMS centre has it",
    "EXPIRED": "its time in the SMS centre ended",
    "UNCONFIRMED": "its delivery was not confirmed",
    "REPLACED": "another trigger replaced it",
    "TERMINATE": "its delivery was ended",
}


def result_words(result: str) -> str:
    """Return a DeliveryResult in words, the value itself in parentheses; as it is if it is none of the standard."""
    return explained(result, _WORDS)


def delivery_result(result: str, *, is_proof: bool) -> tuple[NetworkState | Refusal | None, bool]:
    """Return the meaning of a DeliveryResult (TS 29.122 §5.7.2.2.2); second: whether the value is one of the standard.

    An SMS centre sends an SMS again when the acknowledgement of its first transmission is lost, and may at last report
    EXPIRED or FAILURE of what the device has. So these prove nothing, unless `is_proof`. A value of none of
    the releases is pending, never success.
    """
    if is_proof and result in _PROOF:
        return _PROOF[result], True
    if result in _NOBODY_KNOWS:
        return _NOBODY_KNOWS[result], True
    return NetworkState.BUFFERED, False
