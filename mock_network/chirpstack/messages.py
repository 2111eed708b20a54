"""Integration events as protobuf messages, and their two encodings: protobuf and ChirpStack's JSON.

In JSON the fields of `integration` messages are always there, defaults included, while nested `gw` and `common`
messages leave defaults out, and absent messages are left out; times carry nine decimals and `+00:00`.
"""

import json
from datetime import UTC, datetime
from typing import Any

from chirpstack_api import integration
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from .model import Application, Device, DeviceProfile, Tenant
from .values import timestamp

IntegrationMessage = (
    integration.UplinkEvent
    | integration.JoinEvent
    | integration.AckEvent
    | integration.TxAckEvent
    | integration.LogEvent
    | integration.StatusEvent
)
_GATEWAY_TIMES = {"gwTime": "gw_time", "nsTime": "ns_time"}


def device_info(
    tenant: Tenant, application: Application, profile: DeviceProfile, device: Device, *, application_tags: bool = True
) -> integration.DeviceInfo:
    """Describe a device as events do; tags of the device win over its profile's, these over the application's."""
    tags = dict(application.message.tags) if application_tags else {}
    tags |= dict(profile.message.tags) | dict(device.message.tags)
    return integration.DeviceInfo(
        tenant_id=str(tenant.id),
        tenant_name=tenant.message.name,
        application_id=str(application.id),
        application_name=application.message.name,
        device_profile_id=str(profile.id),
        device_profile_name=profile.message.name,
        device_name=device.message.name,
        dev_eui=device.eui,
        device_class_enabled=device.enabled_class,  # type: ignore[arg-type] # values of common.DeviceClass
        tags=tags,
    )


def log_event(
    info: integration.DeviceInfo,
    now: float,
    level: integration.LogLevel,
    code: integration.LogCode,
    description: str,
    context: dict[str, str] | None = None,
) -> integration.LogEvent:
    """Make a `log` event."""
    return integration.LogEvent(
        time=timestamp(now), device_info=info, level=level, code=code, description=description, context=context or {}
    )


def rfc3339(stamp: Timestamp) -> str:
    """Write a time as ChirpStack does: nine decimals and a numeric zone."""
    whole = datetime.fromtimestamp(stamp.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{stamp.nanos:09d}+00:00"


def to_dict(message: IntegrationMessage) -> dict[str, Any]:
    """Return the JSON object of an event."""
    body: dict[str, Any] = MessageToDict(message, always_print_fields_with_no_presence=True)
    if message.HasField("time"):
        body["time"] = rfc3339(message.time)
    if isinstance(message, integration.UplinkEvent):
        body["rxInfo"] = [_reception(item) for item in message.rx_info]
    if isinstance(message, integration.UplinkEvent | integration.TxAckEvent) and message.HasField("tx_info"):
        body["txInfo"] = MessageToDict(message.tx_info)
    return body


def _reception(message: Message) -> dict[str, Any]:
    body: dict[str, Any] = MessageToDict(message)
    for name, attribute in _GATEWAY_TIMES.items():
        if message.HasField(attribute):
            body[name] = rfc3339(getattr(message, attribute))
    return body


def to_json(message: IntegrationMessage) -> bytes:
    """Return the JSON text of an event."""
    return json.dumps(to_dict(message), separators=(",", ":")).encode()


def properties(message: IntegrationMessage) -> dict[str, str]:
    """Return the short properties that the event log shows beside an event (`LogItem.properties`)."""
    if isinstance(message, integration.UplinkEvent):
        return {
            "DR": str(message.dr),
            "FPort": str(message.f_port),
            "FCnt": str(message.f_cnt),
            "Data": message.data.hex(),
        }
    if isinstance(message, integration.JoinEvent):
        return {"DevAddr": message.dev_addr}
    if isinstance(message, integration.LogEvent):
        return {
            "Level": integration.LogLevel.Name(message.level),
            "Code": integration.LogCode.Name(message.code),
        }
    if isinstance(message, integration.StatusEvent):
        return {
            "Margin": str(message.margin),
            "Battery level": f"{message.battery_level:.0f}%",
            "Battery level unavailable": str(message.battery_level_unavailable).lower(),
            "External power source": str(message.external_power_source).lower(),
        }
    return {}
