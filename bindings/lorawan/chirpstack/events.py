"""ChirpStack's integration events, from JSON or protobuf, as the events of `bindings.lorawan.network_events`.

JSON is read by a decoder for the few members that are needed. Other forms that protobuf's JSON mapping allows (numbers
as text, enumerations as numbers) are read by protobuf's own reader.
"""

import base64
import binascii
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from chirpstack_api import common, integration
from google.protobuf.json_format import Parse, ParseError
from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp

from bindings.lorawan.app_s_key import NO_ENVELOPE, WRAPPED_BYTES, Envelope
from bindings.lorawan.identity import canonical_device
from bindings.lorawan.network_events import (
    Ack,
    CounterReset,
    DataUplink,
    Discarded,
    DiscardReason,
    Join,
    NetworkEvent,
    Notice,
    TxAck,
    UnusedEvent,
)
from bridge.errors import ConfigurationError, NotificationError

CLASSES = {"CLASS_A": "A", "CLASS_B": "B", "CLASS_C": "C"}
_CLASS_NUMBERS = {common.DeviceClass.Value(name): letter for name, letter in CLASSES.items()}
_NANOSECONDS = 1_000_000_000
_END_OF_TIME = 253402300800  # seconds: 9999-12-31T24:00Z, the end of google.protobuf.Timestamp
_SIZE_DIGITS = 5  # more digits than any size has
_LONGEST_DELAY = 60.0  # seconds, more than from any uplink to a window of its downlink (TS001-1.0.4 §5.7)
_ID = 64  # characters, more than any id has; ids are kept in notes
_MESSAGES: dict[str, Any] = {
    "up": integration.UplinkEvent,
    "join": integration.JoinEvent,
    "ack": integration.AckEvent,
    "txack": integration.TxAckEvent,
    "log": integration.LogEvent,
}
_DISCARDED = {
    "EXPIRED": DiscardReason.EXPIRED,
    "DOWNLINK_PAYLOAD_SIZE": DiscardReason.TOO_LARGE,
    "F_CNT_DOWN": DiscardReason.STALE_COUNTER,
}
"""Codes of log events that name a queue item which ChirpStack has deleted."""


class Reading(NamedTuple):
    """One event, the application that it belongs to, and the code of a log event (else empty)."""

    application: str
    event: NetworkEvent
    code: str = ""


class _Info(msgspec.Struct, rename="camel", gc=False, frozen=True):
    application_id: str = ""
    device_profile_id: str = ""
    dev_eui: str = ""
    device_class_enabled: str = "CLASS_A"


class _Delay(msgspec.Struct, gc=False, frozen=True):
    delay: str = ""


class _Timing(msgspec.Struct, gc=False, frozen=True):
    delay: _Delay | None = None
    immediately: dict[str, Any] | None = None


class _Lora(msgspec.Struct, rename="camel", gc=False, frozen=True):
    spreading_factor: int = 0
    bandwidth: int = 0


class _Modulation(msgspec.Struct, gc=False, frozen=True):
    lora: _Lora = _Lora()


class _TxInfo(msgspec.Struct, gc=False, frozen=True):
    frequency: int = 0
    modulation: _Modulation = _Modulation()
    timing: _Timing = _Timing()


_NO_TX_INFO = _TxInfo()


class _KeyEnvelope(msgspec.Struct, rename="camel", gc=False, frozen=True):
    kek_label: str = ""
    aes_key: str = ""


class _JoinServerContext(msgspec.Struct, rename="camel", gc=False, frozen=True):
    app_s_key: _KeyEnvelope | None = None


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
    join_server_context: _JoinServerContext | None = None
    queue_item_id: str = ""
    acknowledged: bool = False
    code: str = "UNKNOWN"
    description: str = ""
    context: dict[str, str] = {}
    tx_info: _TxInfo = _NO_TX_INFO


_decode = msgspec.json.Decoder(_Json).decode


def read(kind: str, body: bytes) -> Reading:
    """Read an event by the last word of its topic or URL; the body itself shows whether it is JSON or protobuf.

    Raises NotificationError for anything else.
    """
    message = _MESSAGES.get(kind)
    if body.lstrip()[:1] == b"{":  # none of these protobuf messages begins so
        try:
            return _from_json(kind, _decode(body))
        except (msgspec.MsgspecError, LookupError, ValueError, OverflowError, RecursionError):
            pass  # a LookupError is a device class of a later version
        try:
            parsed = Parse(body, (message or integration.StatusEvent)(), ignore_unknown_fields=True)
            return _from_message(kind, parsed)
        except (ParseError, ValueError, OverflowError, RecursionError, TypeError, AttributeError) as error:
            raise NotificationError(f"{kind} event is not JSON of ChirpStack v4: {_short(error)}") from error
    try:
        return _from_message(kind, (message or integration.StatusEvent).FromString(body))
    except (DecodeError, ValueError, RecursionError) as error:
        raise NotificationError(f"{kind} event is neither JSON nor protobuf of ChirpStack v4") from error


def _from_json(kind: str, found: _Json) -> Reading:
    info = found.device_info
    application = info.application_id
    common_values = (
        _device(info.dev_eui),
        _time(found.time),
        CLASSES[info.device_class_enabled],
        _id(info.device_profile_id),
    )
    match kind:
        case "up":
            up = DataUplink(
                *common_values,
                _id(found.deduplication_id),
                _id(found.dev_addr),
                _uint32(found.f_cnt),
                _uint32(found.f_port),
                _uint32(found.dr),
                _base64(found.data),
                found.join_server_context is not None,
                _id(found.region_config_id),
                _uint32(found.tx_info.frequency),
                _json_envelope(found.join_server_context),
            )
            return Reading(application, up)
        case "join":
            outside = found.join_server_context
            join = Join(*common_values, _id(found.dev_addr), outside is not None, _json_envelope(outside))
            return Reading(application, join)
        case "txack":
            return Reading(application, _txack(common_values, found))
        case "ack":
            return Reading(application, Ack(*common_values, found.queue_item_id, found.acknowledged))
        case "log":
            _ = integration.LogCode.Value(found.code)
            return Reading(application, _log(common_values, found.code, found), found.code)
    return Reading(application, UnusedEvent(*common_values))


def _from_message(kind: str, found: Any) -> Reading:
    info = found.device_info
    application = info.application_id
    common_values = (
        _device(info.dev_eui),
        _seconds(found, "time"),
        _CLASS_NUMBERS.get(info.device_class_enabled, "A"),
        _id(info.device_profile_id),
    )
    match kind:
        case "up":
            up = DataUplink(
                *common_values,
                _id(found.deduplication_id),
                _id(found.dev_addr),
                found.f_cnt,
                found.f_port,
                found.dr,
                found.data,
                found.HasField("join_server_context"),
                _id(found.region_config_id),
                found.tx_info.frequency,
                _envelope(found.join_server_context.app_s_key),
            )
            return Reading(application, up)
        case "join":
            sealed = found.HasField("join_server_context")
            envelope = _envelope(found.join_server_context.app_s_key)
            return Reading(application, Join(*common_values, _id(found.dev_addr), sealed, envelope))
        case "txack":
            sent = found.tx_info
            seconds, lora = sent.timing.delay.delay.ToNanoseconds() / _NANOSECONDS, sent.modulation.lora
            how = sent.timing.HasField("immediately"), sent.frequency, lora.spreading_factor, lora.bandwidth
            return Reading(application, TxAck(*common_values, found.queue_item_id, _delay(seconds), *how))
        case "ack":
            return Reading(application, Ack(*common_values, found.queue_item_id, found.acknowledged))
        case "log":
            code = _enum(integration.LogCode, found.code)
            return Reading(application, _log(common_values, code, found), code)
    return Reading(application, UnusedEvent(*common_values))


def _log(common_values: tuple[str, float, str, str], code: str, found: Any) -> NetworkEvent:
    """Return the meaning of a log event, from either form of it."""
    why, item = _DISCARDED.get(code), found.context.get("queue_item_id", "")
    if why is not None and item:
        fits = found.context.get("max_payload_size", "")
        size = int(fits) if fits.isdecimal() and len(fits) < _SIZE_DIGITS else 0
        text = f"{found.description} ({code})" if found.description else code  # words for people, and the value
        return Discarded(*common_values, item, why, text, size)
    if code == "UPLINK_F_CNT_RESET":
        return CounterReset(*common_values, found.description)
    # DOWNLINK_GATEWAY names no item: the gateway refused the frame, the item stays queued and is sent another time.
    return Notice(*common_values, code, found.description)


def _txack(common_values: tuple[str, float, str, str], found: _Json) -> TxAck:
    timing, lora = found.tx_info.timing, found.tx_info.modulation.lora
    return TxAck(
        *common_values,
        found.queue_item_id,
        _delay(_duration(timing.delay.delay)) if timing.delay is not None else 0.0,
        timing.immediately is not None,
        _uint32(found.tx_info.frequency),
        _uint32(lora.spreading_factor),
        _uint32(lora.bandwidth),
    )


def _json_envelope(found: _JoinServerContext | None) -> Envelope:
    wrapped = found.app_s_key if found is not None else None
    return NO_ENVELOPE if wrapped is None else Envelope(_id(wrapped.kek_label), _wrapped(_base64(wrapped.aes_key)))


def _envelope(found: common.KeyEnvelope) -> Envelope:
    return Envelope(_id(found.kek_label), _wrapped(found.aes_key)) if found.aes_key else NO_ENVELOPE


def _wrapped(key: bytes) -> bytes:
    if len(key) != WRAPPED_BYTES:
        raise NotificationError(f"{len(key)} bytes are not a wrapped AppSKey")
    return key


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


def _id(text: str) -> str:
    if len(text) > _ID:
        raise NotificationError(f"{text[:20]}… is too long for an id")
    return text


def _time(text: str) -> float:
    """Read RFC 3339 with nine decimals, to the microsecond."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def _seconds(found: Message, name: str) -> float:
    if not found.HasField(name):
        return 0.0
    stamp: Timestamp = getattr(found, name)
    if not (0 <= stamp.seconds < _END_OF_TIME and 0 <= stamp.nanos < _NANOSECONDS):
        raise ValueError(f"{name} is not a time")
    return (stamp.seconds * 1_000_000 + stamp.nanos // 1000) / 1_000_000  # to the microsecond, as from JSON


def _duration(text: str) -> float:
    """Read a duration of protobuf's JSON mapping, such as 1.500s."""
    return float(text.removesuffix("s")) if text else 0.0


def _delay(seconds: float) -> float:
    """Return the seconds from an uplink to the window of its downlink; 0 (unknown) if there is no such window."""
    return seconds if 0 <= seconds <= _LONGEST_DELAY else 0.0


def _uint32(number: int) -> int:
    if not 0 <= number < 1 << 32:
        raise ValueError(f"{number} is not an unsigned 32 bit number")
    return number


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("data is not base64") from error


def _short(error: Exception) -> str:
    return str(error).partition("\n")[0][:120]
