"""The binding's values in ChirpStack's messages, and back."""

from chirpstack_api import api, common
from google.protobuf.timestamp_pb2 import Timestamp

from bindings.lorawan.notes import Profile
from bindings.lorawan.provider import NewItem, QueuedItem, ServerRecord, Session

_LAST = 253_402_300_799.0  # seconds: 9999-12-31T23:59:59Z
_CLASSES = {common.CLASS_A: "A", common.CLASS_B: "B", common.CLASS_C: "C"}


def to_queue_item(item: NewItem) -> api.DeviceQueueItem:
    """Return an item for Enqueue."""
    message = api.DeviceQueueItem(dev_eui=item.device, confirmed=item.confirmed, f_port=item.f_port, data=item.data)
    if item.expires_at is not None:
        # By the server's clock, which its events may show to be anywhere; a Timestamp ends with the year 9999.
        message.expires_at.FromMicroseconds(int(min(max(item.expires_at, 0.0), _LAST) * 1_000_000))
    if item.f_cnt_down is not None:
        message.is_encrypted, message.f_cnt_down = True, item.f_cnt_down
    return message


def from_queue_item(message: api.DeviceQueueItem) -> QueuedItem:
    """Return one item of GetQueue."""
    expires_at = _seconds(message.expires_at) if message.HasField("expires_at") else None
    return QueuedItem(
        message.id,
        message.f_port,
        message.data,
        message.confirmed,
        message.is_pending,
        expires_at,
        message.f_cnt_down,
        message.is_encrypted,
    )


def server_record_of(found: api.GetDeviceResponse, application_id: str = "") -> ServerRecord:
    """Return the record of a device from an answer of ChirpStack. `application_id`: the expected one; empty: any."""
    device = found.device
    return ServerRecord(
        profile=device.device_profile_id,
        device_class=_CLASSES.get(found.class_enabled, ""),
        last_seen_at=_seconds(found.last_seen_at) if found.HasField("last_seen_at") else None,
        skip_f_cnt_check=device.skip_fcnt_check,
        disabled=device.is_disabled,
        elsewhere=application_id not in ("", device.application_id),
    )


def session_of(found: api.GetDeviceActivationResponse) -> Session | None:
    """Return a device's session, None if it has none. LoRaWAN 1.0.x has one counter for all downlinks."""
    if not found.HasField("device_activation"):
        return None
    there = found.device_activation
    one_counter = there.f_nwk_s_int_key == there.s_nwk_s_int_key
    return Session(there.dev_addr, there.f_cnt_up, there.n_f_cnt_down if one_counter else there.a_f_cnt_down)


def profile_of(found: api.DeviceProfile, region: api.GetRegionResponse | None) -> Profile:
    """Return a profile from a device profile and the region's configuration. Raises ValueError for unknown numbers.

    A real ChirpStack shows the region's configuration to users, not to API keys.
    """
    return Profile(
        region=common.Region.Name(found.region),
        revision=common.RegParamsRevision.Name(found.reg_params_revision),
        mac_version=common.MacVersion.Name(found.mac_version),
        flush_on_activate=found.flush_queue_on_activate,
        rx1_delay=found.rx1_delay,
        rx1_dr_offset=region.rx1_dr_offset if region is not None else -1,
        rx2_dr=region.rx2_dr if region is not None else -1,
        ping_slot_dr=region.class_b_ping_slot_dr if region is not None else -1,
        known=True,
    )


def _seconds(stamp: Timestamp) -> float:
    return stamp.ToNanoseconds() / 1_000_000_000
