"""ChirpStack's integration events, from JSON or protobuf, as plain values of this binding.

JSON is read by a decoder for the few members that matter; where that stumbles over a form that protobuf's own JSON
mapping allows (numbers as text, enumerations as numbers), that one decides.
"""

import base64
import binascii
from datetime import datetime
from typing import Any

import msgspec
from chirpstack_api import common, integration
from google.protobuf.json_format import Parse, ParseError
from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp

from bindings.lorawan.identity import canonical_device
from bridge.errors import ConfigurationError, NotificationError

CLASSES = {"CLASS_A": "A", "CLASS_B": "B", "CLASS_C": "C"}
_CLASS_NUMBERS = {common.DeviceClass.Value(name): letter for name, letter in CLASSES.items()}
_NANOSECONDS = 1_000_000_000
_END_OF_TIME = 253402300800  # seconds: 9999-12-31T24:00Z, beyond which google.protobuf.Timestamp has nothing


class Event(msgspec.Struct, frozen=True, gc=False):
    """What all events say. `time` is the server's wall clock; `device_class` is "" where the server is too old."""

    application: str
    device: str
    time: float
    device_class: str
    profile: str


class Up(Event, frozen=True, gc=False):
    """An uplink. `f_port` 0, no data: the device only opened its windows. `sealed`: ChirpStack could not decrypt it."""

    deduplication_id: str
    dev_addr: str
    f_cnt: int
    f_port: int
    dr: int
    data: bytes
    sealed: bool
    region_config: str


class Join(Event, frozen=True, gc=False):
    """The device has a new session."""

    dev_addr: str


class TxAck(Event, frozen=True, gc=False):
    """A gateway has scheduled a downlink."""

    item: str


class Ack(Event, frozen=True, gc=False):
    """The device acknowledged a confirmed downlink, or failed to."""

    item: str
    acknowledged: bool


class Log(Event, frozen=True, gc=False):
    """What went wrong. `item` is the queue item's id, where the log names one, `fits` the bytes that would have fit."""

    code: str
    text: str
    item: str
    fits: int = 0


class Other(Event, frozen=True, gc=False):
    """An event that this binding has no use for: status, location, and what later versions add."""


_SIZE_DIGITS = 5  # more than any size has
_MESSAGES: dict[str, Any] = {
    "up": integration.UplinkEvent,
    "join": integration.JoinEvent,
    "ack": integration.AckEvent,
    "txack": integration.TxAckEvent,
    "log": integration.LogEvent,
}


class _Info(msgspec.Struct, rename="camel", gc=False, frozen=True):
    application_id: str = ""
    device_profile_id: str = ""
    dev_eui: str = ""
    device_class_enabled: str = "CLASS_A"


class _Json(msgspec.Struct, rename="camel", gc=False):
    device_info: _Info = _Info()
    time: str = ""
    deduplication_id: str = ""
    dev_addr: str = ""
    dr: int = 0
    f_cnt: int = 0
    f_port: int = 0
    data: str = ""
    region_config_id: str = ""
    join_server_context: Any = None
    queue_item_id: str = ""
    acknowledged: bool = False
    code: str = "UNKNOWN"
    description: str = ""
    context: dict[str, str] = {}


_decode = msgspec.json.Decoder(_Json).decode


def read(kind: str, body: bytes) -> Event:
    """Read an event by the last word of its topic or URL; the body says itself whether it is JSON or protobuf.

    Raises NotificationError for anything else.
    """
    message = _MESSAGES.get(kind)
    if body.lstrip()[:1] == b"{":  # no protobuf message of these begins so
        try:
            return _from_json(kind, _decode(body))
        except (msgspec.MsgspecError, LookupError, ValueError, OverflowError, RecursionError):
            pass  # a LookupError is a device class of a later version
        try:
            parsed = Parse(body, (message or integration.StatusEvent)(), ignore_unknown_fields=True)
            return _from_message(kind, parsed)
        except (ParseError, ValueError, OverflowError, RecursionError, TypeError, AttributeError) as error:
            raise NotificationError(f"{kind} event is no JSON of ChirpStack v4: {_short(error)}") from error
    try:
        return _from_message(kind, (message or integration.StatusEvent).FromString(body))
    except (DecodeError, ValueError, RecursionError) as error:
        raise NotificationError(f"{kind} event is neither JSON nor protobuf of ChirpStack v4") from error


def _from_json(kind: str, found: _Json) -> Event:
    info = found.device_info
    device_class = CLASSES[info.device_class_enabled]
    common_values = (
        info.application_id,
        _device(info.dev_eui),
        _time(found.time),
        device_class,
        info.device_profile_id,
    )
    match kind:
        case "up":
            return Up(
                *common_values,
                found.deduplication_id,
                found.dev_addr,
                _uint32(found.f_cnt),
                _uint32(found.f_port),
                _uint32(found.dr),
                _base64(found.data),
                found.join_server_context is not None,
                found.region_config_id,
            )
        case "join":
            return Join(*common_values, found.dev_addr)
        case "txack":
            return TxAck(*common_values, found.queue_item_id)
        case "ack":
            return Ack(*common_values, found.queue_item_id, found.acknowledged)
        case "log":
            _ = integration.LogCode.Value(found.code)
            return Log(*common_values, found.code, found.description, *_item_of(found.context))
    return Other(*common_values)


def _from_message(kind: str, found: Any) -> Event:
    info = found.device_info
    device_class = _CLASS_NUMBERS.get(info.device_class_enabled, "A")
    common_values = (
        info.application_id,
        _device(info.dev_eui),
        _seconds(found, "time"),
        device_class,
        info.device_profile_id,
    )
    match kind:
        case "up":
            return Up(
                *common_values,
                found.deduplication_id,
                found.dev_addr,
                found.f_cnt,
                found.f_port,
                found.dr,
                found.data,
                found.HasField("join_server_context"),
                found.region_config_id,
            )
        case "join":
            return Join(*common_values, found.dev_addr)
        case "txack":
            return TxAck(*common_values, found.queue_item_id)
        case "ack":
            return Ack(*common_values, found.queue_item_id, found.acknowledged)
        case "log":
            code = _enum(integration.LogCode, found.code)
            return Log(*common_values, code, found.description, *_item_of(found.context))
    return Other(*common_values)


def _item_of(context: Any) -> tuple[str, int]:
    """Give a log's queue item, and the size that would have fit, as far as it says so."""
    fits = context.get("max_payload_size", "")
    return context.get("queue_item_id", ""), int(fits) if fits.isdecimal() and len(fits) < _SIZE_DIGITS else 0


def _enum(kind: Any, number: int) -> str:
    try:
        return str(kind.Name(number))
    except ValueError:
        return "UNKNOWN"  # of a later version


def _device(text: str) -> str:
    try:
        return canonical_device(text)
    except ConfigurationError as error:
        raise NotificationError(f"event without a DevEUI: {text[:40]!r}") from error


def _time(text: str) -> float:
    """Read RFC 3339 with nine decimals, to the microsecond."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def _seconds(found: Message, name: str) -> float:
    if not found.HasField(name):
        return 0.0
    stamp: Timestamp = getattr(found, name)
    if not (0 <= stamp.seconds < _END_OF_TIME and 0 <= stamp.nanos < _NANOSECONDS):
        raise ValueError(f"{name} is no time")
    return (stamp.seconds * 1_000_000 + stamp.nanos // 1000) / 1_000_000  # to the microsecond, as from JSON


def _uint32(number: int) -> int:
    if not 0 <= number < 1 << 32:
        raise ValueError(f"{number} is no unsigned 32 bit number")
    return number


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("data is no base64") from error


def _short(error: Exception) -> str:
    return str(error).partition("\n")[0][:120]
