"""Joins: Join-Request to Join-Accept, used nonces, session keys, and the effect of a join on a device.

Root keys are the server's own, or of a Join Server outside (`join_server`), which does the same with them.
"""

from chirpstack_api import common, integration

from mock_network.lorawan.crypto import SessionKeys, session_keys_1_0, session_keys_1_1
from mock_network.lorawan.frames import (
    FrameError,
    JoinAccept,
    JoinRequest,
    open_join_request,
    parse_join_request,
    seal_join_accept,
)

from . import device_queue, downlink
from .context import Context, Uplink
from .model import Device, DeviceKeys, DeviceProfile, Session
from .values import join_server_context, timestamp

CF_LIST_CHANNELS = 5
HUNDRED_HERTZ = 100
NWK_ID_BITS = 25  # NetID type 0: 7 bits of prefix and NwkID, 25 bits of NwkAddr


def random_dev_addr(context: Context) -> int:
    """Return a DevAddr out of the network's own range (type 0 prefix, NwkID from the NetID)."""
    return (context.settings.net_id & 0x3F) << NWK_ID_BITS | context.rng.getrandbits(NWK_ID_BITS)


def handle(context: Context, uplink: Uplink) -> None:
    """Take a de-duplicated Join-Request."""
    request = parse_join_request(uplink.phy_payload)
    if context.faults.draw("uplink_lost", dev_eui=request.dev_eui.hex()):
        return
    device = context.tables.devices.rows.get(request.dev_eui)
    if device is None:
        context.count("join_unknown")
        context.warn(f"Join-Request of unknown device {request.dev_eui.hex()}")
        return
    profile = context.tables.profiles.rows[device.device_profile_id]
    keys = _root_keys(context, device)
    if not _may_join(context, device, profile) or keys is None:
        return
    try:
        open_join_request(uplink.phy_payload, keys.nwk_key)
    except FrameError:
        text = "MIC of join-request is invalid, make sure keys are correct"
        details = {"deduplication_id": str(uplink.id)}
        context.log(device, integration.ERROR, integration.UPLINK_MIC, text, details)
        return
    nonce = (request.join_eui, request.dev_nonce)
    if nonce in keys.dev_nonces:
        details = {
            "deduplication_id": str(uplink.id),
            "join_eui": request.join_eui.hex(),
            "dev_nonce": str(request.dev_nonce),
        }
        context.log(device, integration.ERROR, integration.OTAA, "DevNonce has already been used", details)
        return
    keys.dev_nonces.add(nonce)
    join_nonce = keys.join_nonce
    keys.join_nonce += 1
    _activate(context, device, profile, uplink, request, keys, join_nonce)


def _root_keys(context: Context, device: Device) -> DeviceKeys | None:
    """Return the keys that the server itself has of a device, else those of the Join Server outside."""
    if device.keys is not None or context.join_server is None:
        return device.keys
    return context.join_server.keys.get(device.dev_eui)


def _may_join(context: Context, device: Device, profile: DeviceProfile) -> bool:
    reason = ""
    if profile.message.region != context.region.common_name:
        reason = "the device profile is for another region"
    elif profile.message.region_config_id and profile.message.region_config_id != context.region.id:
        reason = "the device profile names another region configuration"
    elif device.message.is_disabled:
        reason = "the device is disabled"
    elif not profile.message.supports_otaa:
        reason = "OTAA is disabled in the device profile"
    elif _root_keys(context, device) is None:
        reason = "no keys here and no join server for the JoinEUI"
    if reason:
        context.count("join_refused")
        context.warn(f"Join-Request of {device.eui} dropped: {reason}")
    return not reason


def _session_keys(
    context: Context, profile: DeviceProfile, keys: DeviceKeys, request: JoinRequest, join_nonce: int
) -> SessionKeys:
    if profile.is_1_0:
        return session_keys_1_0(
            keys.nwk_key, join_nonce=join_nonce, net_id=context.settings.net_id, dev_nonce=request.dev_nonce
        )
    return session_keys_1_1(
        keys.nwk_key, keys.app_key, join_nonce=join_nonce, join_eui=request.join_eui, dev_nonce=request.dev_nonce
    )


def _activate(
    context: Context,
    device: Device,
    profile: DeviceProfile,
    uplink: Uplink,
    request: JoinRequest,
    keys: DeviceKeys,
    join_nonce: int,
) -> None:
    settings, region = context.settings, context.region
    info = context.info(device)
    session_keys, envelope = _session_keys(context, profile, keys, request, join_nonce), None
    if device.keys is None and context.join_server is not None:
        session_keys, envelope = context.join_server.hand_over(session_keys)
    session = Session(
        dev_addr=random_dev_addr(context),
        keys=session_keys,
        app_s_key=envelope,
        mac_version=profile.message.mac_version,
        reg_params_revision=profile.message.reg_params_revision,
        skip_f_cnt_check=device.message.skip_fcnt_check,
        rx1_delay=settings.rx1_delay,
        rx1_dr_offset=settings.rx1_dr_offset,
        rx2_dr=region.rx2_dr,
        rx2_frequency=region.rx2_frequency,
    )
    boot(session, profile)
    device.message.join_eui = request.join_eui.hex()
    _take_over(context, device, profile, session)
    cf_list = b"".join((frequency // HUNDRED_HERTZ).to_bytes(3, "little") for frequency in region.cf_list)
    accept = JoinAccept(
        join_nonce=join_nonce,
        net_id=settings.net_id,
        dev_addr=session.dev_addr,
        rx1_dr_offset=settings.rx1_dr_offset,
        rx2_data_rate=region.rx2_dr,
        rx_delay=settings.rx1_delay,
        opt_neg=not profile.is_1_0,
        cf_list=cf_list.ljust(CF_LIST_CHANNELS * 3 + 1, b"\0") if cf_list else b"",
    )
    downlink.join_accept(context, device, uplink, seal_join_accept(accept, request, keys.nwk_key))
    event = integration.JoinEvent(
        deduplication_id=str(uplink.id),
        time=timestamp(uplink.time),
        device_info=info,
        dev_addr=f"{session.dev_addr:08x}",
        join_server_context=join_server_context(session),
        region_config_id=region.id,
    )
    context.emit(device, "join", event)


def activate(context: Context, device: Device, dev_addr: int, keys: SessionKeys) -> Session:
    """Set a session of a device that was made elsewhere (ABP); counters start at 0."""
    profile = context.tables.profiles.rows[device.device_profile_id]
    session = Session(
        dev_addr=dev_addr,
        keys=keys,
        mac_version=profile.message.mac_version,
        reg_params_revision=profile.message.reg_params_revision,
        skip_f_cnt_check=device.message.skip_fcnt_check,
    )
    boot(session, profile)
    _take_over(context, device, profile, session)
    return session


def _take_over(context: Context, device: Device, profile: DeviceProfile, session: Session) -> None:
    context.tables.set_session(device, session)
    device.f_cnt_up = 0
    if profile.message.flush_queue_on_activate:
        device_queue.flush(context.tables, device.dev_eui)  # no event tells: the application has to see the join
    # a LoRaWAN 1.1 device says itself that it is class C (DeviceModeInd)
    class_c = profile.message.supports_class_c and profile.is_1_0
    device.enabled_class = common.CLASS_C if class_c else common.CLASS_A


def boot(session: Session, profile: DeviceProfile) -> None:
    """Set a device's state after its start, from the device profile (`reset_session_to_boot_params`)."""
    message = profile.message
    if message.supports_class_b:
        session.ping_slot_dr, session.ping_slot_frequency = message.class_b_ping_slot_dr, message.class_b_ping_slot_freq
        session.ping_slot_nb = 1 << (7 - min(message.class_b_ping_slot_periodicity, 7))
    if not message.supports_otaa:
        session.rx1_delay, session.rx1_dr_offset = message.abp_rx1_delay, message.abp_rx1_dr_offset
        session.rx2_dr, session.rx2_frequency = message.abp_rx2_dr, message.abp_rx2_freq
