"""What travels over T8 as far as the bridge reads it (TS 29.122 §5.6.2), and the tolerant readings the field needs.

Every member is optional and every enumeration open here: a SCEF that is a release older or newer, or a little off the
standard, is understood as far as it can be. What must be present is checked where it is used.
"""

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote, unquote

import msgspec

from bindings.contract import NetworkState, Refusal


class Configuration(msgspec.Struct, gc=False):
    """NiddConfiguration as a SCEF answers it."""

    self: str | None = None
    externalId: str | None = None  # noqa: N815  # the standard's spelling, and decoded by name
    msisdn: str | None = None
    notificationDestination: str | None = None  # noqa: N815
    duration: str | None = None
    maximumPacketSize: int | None = None  # noqa: N815  # bits
    status: str | None = None


class Delivery(msgspec.Struct, gc=False):
    """NiddDownlinkDataTransfer as a SCEF answers it; `status` is one operator's name for deliveryStatus."""

    self: str | None = None
    data: str | None = None
    deliveryStatus: str | None = None  # noqa: N815
    status: str | None = None
    requestedRetransmissionTime: str | None = None  # noqa: N815

    @property
    def state(self) -> str | None:
        """The delivery status under either name."""
        return self.deliveryStatus or self.status


class Notification(msgspec.Struct, gc=False):
    """All notifications in one: the member that is present says which it is (the callback's oneOf is ambiguous)."""

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
    subscription: str | None = None


class TolerantNotification(Notification, gc=False):
    """The same where `data` is not strict base64, or not even text."""

    data: Any = None


decode_notification = msgspec.json.Decoder(Notification).decode
decode_tolerant = msgspec.json.Decoder(TolerantNotification).decode


def decode_data(text: object) -> bytes | None:
    """Decode base64 as the field writes it: without padding, URL-safe, with line breaks. None: it is none."""
    if not isinstance(text, str):
        return None
    plain = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


_UNREADABLE = (ValueError, RecursionError)  # what the decoder raises: for bytes that are no such JSON, and for depth

_Body = TypeVar("_Body", Configuration, Delivery)


def read_tolerant(body: bytes, kind: type[_Body]) -> _Body:
    """Read an answer's object; a member of the wrong type is as if absent, an unreadable body has no members."""
    try:
        return msgspec.json.decode(body, type=kind)
    except _UNREADABLE:
        pass
    try:
        raw = msgspec.json.decode(body)
    except _UNREADABLE:
        return kind()
    return _pick(raw, kind)


def read_tolerant_list(body: bytes, kind: type[_Body]) -> list[_Body] | None:
    """Read an answer's array in the same way; None if it is none. A bare object counts as an array of one."""
    if not body.strip():
        return []
    try:
        return msgspec.json.decode(body, type=list[kind])  # type: ignore[valid-type]  # built from the argument
    except _UNREADABLE:
        pass
    try:
        raw = msgspec.json.decode(body)
    except _UNREADABLE:
        return None
    if isinstance(raw, dict):
        raw = [raw]
    return [_pick(item, kind) for item in raw] if isinstance(raw, list) else None


def _pick(raw: object, kind: type[_Body]) -> _Body:
    """Convert member by member, leaving out what does not fit."""
    result = kind()
    if isinstance(raw, dict):
        for name in kind.__struct_fields__:
            if name in raw:
                try:
                    setattr(result, name, getattr(msgspec.convert({name: raw[name]}, kind, strict=False), name))
                except msgspec.ValidationError:
                    continue
    return result


_CONFIGURATION = re.compile(r"(?:^|/)configurations/([^/?#]+)")
_DELIVERY = re.compile(r"/downlink-data-deliveries/([^/?#]+)")


def configuration_id(link: str) -> str | None:
    """Find the configuration in a link of any form: absolute, relative, with another prefix, or of a delivery."""
    _, marker, tail = link.rpartition("/configurations/")
    if marker and tail.isalnum():
        return tail
    found = _CONFIGURATION.search(link)
    return unquote(found[1]) if found else None


def delivery_handle(link: str | None) -> str | None:
    """Make the handle of a delivery from its link: `configuration/delivery`, both percent-encoded.

    The configuration belongs to it: a SCEF may number deliveries anew in a configuration that was made again.
    """
    if not link:
        return None
    configuration, delivery = configuration_id(link), _DELIVERY.search(link)
    if configuration is None or delivery is None:
        return None
    return f"{quote(configuration, safe='')}/{quote(unquote(delivery[1]), safe='')}"


def parse_time(text: str | None) -> float | None:
    """Read an RFC 3339 date-time as seconds since the epoch; None if there is none or it is unreadable."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def format_time(seconds: float) -> str:
    """Write seconds since the epoch as an RFC 3339 date-time in UTC."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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


def delivery_outcome(status: str) -> tuple[NetworkState | Refusal, bool]:
    """Read a DeliveryStatus (TS 29.122 §5.6.2.3.2); second: whether the value is one of the standard.

    Other values are read by their first word, and are pending where that says nothing.
    """
    known = _DELIVERY_STATUS.get(status)
    if known is not None:
        return known, True
    if status.startswith("SUCCESS"):
        return NetworkState.SENT, False
    if status.startswith("FAILURE"):
        return Refusal.FAILED, False
    return NetworkState.BUFFERED, False
