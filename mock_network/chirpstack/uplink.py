"""A data uplink in the server: its device, its counter, its events, then the downlink opportunity."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from chirpstack_api import common, integration

from mock_network.lorawan.frames import Data, FrameError, MicInputs, open_data

from . import device_queue, downlink, mac
from .context import Context, Uplink
from .faults import seconds_of
from .model import Device, Session
from .values import join_server_context, timestamp

U16 = 1 << 16
KEPT_RECEPTIONS = 1  # uplinks whose gateways may send a class B or C downlink (device_gateway_mapping_history_uplinks)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A frame, decrypted and with its full 32-bit FCnt, whose session is found."""

    device: Device
    session: Session
    frame: Data


def full_counter(expected: int, on_air: int) -> int:
    """Complete a 16-bit FCnt: the last counter again is a retransmission, else the gap is forward, modulo 2^16."""
    if expected and on_air == (expected - 1) % U16:
        return expected - 1
    return expected + (on_air - expected) % U16


def find(context: Context, dev_addr: int, f_cnt: int, uplink: Uplink) -> Accepted | None:
    """Find the session whose key made the MIC, trying the completed counter and the bare one (a reset device's)."""
    for device, session in context.tables.sessions(dev_addr):
        inputs = MicInputs(conf_f_cnt=session.conf_f_cnt, data_rate=uplink.dr, channel=uplink.channel)
        for counter in (full_counter(device.f_cnt_up, f_cnt), f_cnt):
            try:
                frame = open_data(uplink.phy_payload, counter, session.keys, v1_1=not session.is_1_0, mic=inputs)
            except FrameError:
                continue
            return Accepted(device, session, frame)
    return None


def handle(context: Context, uplink: Uplink, parsed: Data) -> None:
    """Take a de-duplicated data uplink; `parsed` is what can be read of it without keys."""
    found = find(context, parsed.dev_addr, parsed.f_cnt, uplink)
    if context.faults.draw("uplink_lost", dev_eui=found.device.eui if found else ""):
        return
    if found is None:
        known = context.tables.sessions(parsed.dev_addr)
        reason = "no session gives a valid MIC" if known else "no device session"
        context.count("uplink_unknown")
        context.warn(f"uplink for DevAddr {parsed.dev_addr:08x} dropped: {reason}")
        return
    device, session, frame = found.device, found.session, found.frame
    profile = context.tables.profiles.rows[device.device_profile_id]
    if profile.message.region != context.region.common_name:
        context.warn(f"{device.eui}: the device profile is for another region")
        return
    if frame.f_cnt >= device.f_cnt_up:
        locked_until = context.now + context.settings.class_a_lock_duration
        device.scheduler_run_after = max(device.scheduler_run_after, locked_until)
    elif not session.skip_f_cnt_check:
        _refuse(context, device, uplink, frame.f_cnt)
        return
    if context.faults.draw("ack_lost", dev_eui=device.eui):
        frame = replace(frame, ack=False)
    _accept(context, found.device, session, uplink, frame)


def _accept(context: Context, device: Device, session: Session, uplink: Uplink, frame: Data) -> None:
    profile = context.tables.profiles.rows[device.device_profile_id]
    info = context.info(device)
    device.f_cnt_up = frame.f_cnt + 1
    device.last_seen_at = context.now
    session.dr = uplink.dr
    session.receptions = [*session.receptions, downlink.receptions(context, uplink)][-KEPT_RECEPTIONS:]
    if profile.message.supports_class_b:
        device.enabled_class = common.CLASS_B if frame.f_pending else common.CLASS_A

    commands = frame.frm_payload if frame.f_port == 0 else frame.f_opts
    answers = mac.handle(context, device, session, uplink, commands)
    _emit_up(context, device, session, info, uplink, frame)
    if frame.ack:
        _acknowledged(context, device, uplink)
    opportunity = downlink.Opportunity(
        uplink=uplink,
        must_ack=frame.confirmed,
        must_send=frame.adr_ack_req or answers.must_send,
        answers=answers.commands,
    )
    wait = context.settings.get_downlink_data_delay + max(session.rx1_delay - context.settings.rx1_delay, 0)
    stall = context.faults.draw("stall", dev_eui=device.eui)
    if stall:
        wait += seconds_of(stall)
    context.at(context.now + wait, _respond(context, device, session, opportunity))


def _respond(
    context: Context, device: Device, session: Session, opportunity: "downlink.Opportunity"
) -> Callable[[], None]:
    def respond() -> None:
        # a join in the meantime has made another session; a removed device has none
        if context.tables.devices.rows.get(device.dev_eui) is device and device.session is session:
            downlink.respond(context, device, opportunity)

    return respond


def _refuse(context: Context, device: Device, uplink: Uplink, counter: int) -> None:
    details = {"deduplication_id": str(uplink.id), "f_cnt_up": str(counter)}
    if counter == device.f_cnt_up - 1:
        code, text = (
            integration.UPLINK_F_CNT_RETRANSMISSION,
            "Uplink was flagged as re-transmission / frame-counter did not increment",
        )
    else:
        code, text = integration.UPLINK_F_CNT_RESET, "Frame-counter reset or rollover detected"
    context.log(device, integration.WARNING, code, text, details, time=uplink.time)


def _emit_up(
    context: Context, device: Device, session: Session, info: integration.DeviceInfo, uplink: Uplink, frame: Data
) -> None:
    event = integration.UplinkEvent(
        deduplication_id=str(uplink.id),
        time=timestamp(uplink.time),
        device_info=info,
        dev_addr=f"{frame.dev_addr:08x}",
        adr=frame.adr,
        dr=uplink.dr,
        f_cnt=frame.f_cnt,
        f_port=frame.f_port or 0,
        confirmed=frame.confirmed,
        data=frame.frm_payload if frame.f_port else b"",
        rx_info=uplink.rx_info,
        tx_info=uplink.tx_info,
        join_server_context=join_server_context(session),
        region_config_id=context.region.id,
    )
    context.emit(device, "up", event)


def _acknowledged(context: Context, device: Device, uplink: Uplink) -> None:
    item = device_queue.pending(context.tables, device.dev_eui)
    if item is None:
        context.warn(f"{device.eui}: ACK without a pending queue item")
        return
    context.drop_item(item)
    event = integration.AckEvent(
        deduplication_id=str(uplink.id),
        time=timestamp(uplink.time),
        device_info=context.info(device),
        queue_item_id=str(item.id),
        acknowledged=True,
        f_cnt_down=item.f_cnt_down or 0,
    )
    context.emit(device, "ack", event)
