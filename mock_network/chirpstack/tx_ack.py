"""The gateway's answer to a downlink: only "OK" advances counters and queue items (tx_ack.rs)."""

from chirpstack_api import common, gw, integration

from .context import Context, Flight
from .mac import GPS_EPOCH, LEAP_SECONDS
from .model import Device, QueueItem
from .values import NANOSECONDS, timestamp


def handle(context: Context, ack: gw.DownlinkTxAck) -> None:
    """Process a gateway's acknowledgement."""
    flight = context.flights.pop(ack.downlink_id, None)
    if flight is None:
        context.count("tx_ack_unknown")
        context.warn(f"acknowledgement for unknown downlink {ack.downlink_id}")
        return
    if not ack.items or len(ack.items) > len(flight.frame.items):
        context.warn(f"downlink {ack.downlink_id}: {len(ack.items)} items acknowledged, {len(flight.frame.items)} sent")
        return
    statuses = [item.status for item in ack.items]
    ok = gw.OK in statuses
    chosen = len(statuses) - 1 - statuses[::-1].index(gw.OK) if ok else len(statuses) - 1
    flight.entry.status = gw.TxAckStatus.Name(statuses[chosen])
    device = context.tables.devices.rows.get(flight.dev_eui)
    if not flight.is_data or device is None:
        return
    if ok:
        _sent(context, device, flight, chosen)
    else:
        # the item stays where it is, and the event does not say which it was
        context.log(device, integration.ERROR, integration.DOWNLINK_GATEWAY, flight.entry.status)


def _sent(context: Context, device: Device, flight: Flight, chosen: int) -> None:
    session = device.session
    if session is None:
        return
    if not flight.with_payload[chosen]:
        session.n_f_cnt_down += 1
        return
    item = context.tables.queue.get(flight.queue_item_id) if flight.queue_item_id else None
    if item is None:
        # flushed in the meantime: the server fails here, so no txack is sent and the counter stays
        context.count("tx_ack_without_item")
        context.warn(f"{device.eui}: sent queue item {flight.queue_item_id} is no longer in the queue")
        return
    if item.confirmed:
        _set_pending(context, device, item, flight, chosen)
        session.conf_f_cnt = item.f_cnt_down or 0
    else:
        context.drop_item(item)
    session.a_f_cnt_down = flight.a_f_cnt_down + 1
    event = integration.TxAckEvent(
        downlink_id=flight.frame.downlink_id,
        time=timestamp(context.now),
        device_info=context.info(device, application_tags=False),
        queue_item_id=str(item.id),
        f_cnt_down=item.f_cnt_down or 0,
        gateway_id=flight.frame.gateway_id,
        tx_info=flight.frame.items[chosen].tx_info,
    )
    context.emit(device, "txack", event)


def _set_pending(context: Context, device: Device, item: QueueItem, flight: Flight, chosen: int) -> None:
    profile = context.tables.profiles.rows[device.device_profile_id].message
    item.is_pending = True
    if device.enabled_class == common.CLASS_C:
        item.timeout_after = context.now + profile.class_c_timeout
    elif device.enabled_class == common.CLASS_B:
        timing = flight.frame.items[chosen].tx_info.timing
        if timing.HasField("gps_epoch"):
            slot = timing.gps_epoch.time_since_gps_epoch.ToNanoseconds() / NANOSECONDS
            item.timeout_after = slot + GPS_EPOCH - LEAP_SECONDS + profile.class_b_timeout
