"""Making downlinks: which gateway and window, which queue item, which MAC commands, and the frame for each window.

Each item is transmitted once. Its result is the gateway's acknowledgement (`tx_ack`); that of a confirmed item is also
the device's next uplink, or the timeout of class B or C. The order of the checks on an item and their log
events are ChirpStack's (downlink/data.rs).
"""

from dataclasses import dataclass, field, replace

from chirpstack_api import common, gw, integration
from google.protobuf.duration_pb2 import Duration

from mock_network.lorawan.frames import Data, MicInputs, seal_data

from . import class_b, device_queue, mac
from .context import MAX_FRAMES_IN_FLIGHT, AirEntry, Context, Flight, Send, Uplink
from .model import Device, QueueItem, Reception, Session
from .region import REQUIRED_SNR, DataRate
from .values import NANOSECONDS, timestamp

JOIN_ACCEPT_DELAY = 5.0  # seconds; RX2 one second later (RP002 §2, all regions)
DEFAULT_RX1_DELAY = 1  # seconds, what 0 means on the air
PING_SLOT_LEAD = 1.0  # seconds between making a class B downlink and the earliest slot it may use


@dataclass(frozen=True, slots=True)
class Opportunity:
    """A class A downlink opportunity: the uplink that opened it and what it requires."""

    uplink: Uplink
    must_ack: bool = False
    must_send: bool = False
    answers: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Variant:
    """One way to send: radio parameters and the payload bytes that still fit."""

    tx_info: gw.DownlinkTxInfo
    room: int


@dataclass(slots=True)
class Plan:
    """What is to be put into the variants."""

    item: QueueItem | None = None
    more: bool = False
    commands: list[bytes] = field(default_factory=list)
    ack: bool = False


def receptions(context: Context, uplink: Uplink) -> list[Reception]:
    """Return how each gateway heard the uplink."""
    required = REQUIRED_SNR[context.region.up[uplink.dr].spreading_factor]
    return [
        Reception(
            gateway_id=item.gateway_id,
            rssi=item.rssi,
            snr=item.snr,
            required_snr=required,
            board=item.board,
            antenna=item.antenna,
            context=item.context,
        )
        for item in uplink.rx_info
    ]


def select_gateway(context: Context, heard: list[Reception]) -> Reception:
    """Return any gateway with a sufficient link margin, else the best one."""
    latest = {item.gateway_id: item for item in heard}
    ranked = sorted(latest.values(), key=lambda item: (item.snr - item.required_snr, item.rssi), reverse=True)
    wanted = context.settings.gateway_prefer_min_margin
    comfortable = [item for item in ranked if item.snr - item.required_snr >= wanted]
    return context.rng.choice(comfortable) if comfortable else ranked[0]


def respond(context: Context, device: Device, opportunity: Opportunity) -> None:
    """Use a class A opportunity, if there is anything to send; its gateway heard that very uplink."""
    session = device.session
    heard = receptions(context, opportunity.uplink)
    if session is None or not heard:
        return
    profile = context.tables.profiles.rows[device.device_profile_id]
    gateway = select_gateway(context, heard)
    variants = _class_a_variants(context, session, gateway, opportunity.uplink)
    plan = Plan(ack=opportunity.must_ack, commands=list(opportunity.answers))
    if not (profile.message.class_b_downlink_only and device.enabled_class == common.CLASS_B):
        _take_item(context, device, session, variants[0].room, opportunity.uplink, plan)
    if not context.settings.mac_commands_disabled:
        plan.commands.extend(mac.requests(context, device, profile, session))
    if plan.item or plan.commands or plan.ack or opportunity.must_send:
        _send(context, device, session, gateway.gateway_id, variants, plan)


def run_scheduler(context: Context) -> None:
    """Search class B and C devices with something to send (each `scheduler_interval`)."""
    now = context.now
    for device in context.tables.with_queue():
        due = device.enabled_class in (common.CLASS_B, common.CLASS_C) and device.scheduler_run_after < now
        if due and not device.message.is_disabled and device_queue.schedulable(context.tables, device.dev_eui, now):
            device.scheduler_run_after = now + context.settings.scheduler_lock_duration
            _schedule(context, device)


def _schedule(context: Context, device: Device) -> None:
    session = device.session
    if session is None or not session.receptions:
        return  # after a join the device speaks first: then the session is known to be good, and the gateway
    heard = [item for uplink in session.receptions for item in uplink]
    gateway = select_gateway(context, heard)
    if device.enabled_class == common.CLASS_C:
        device.scheduler_run_after = context.now + context.settings.class_c_lock_duration
        timing = gw.Timing(immediately=gw.ImmediatelyTimingInfo())
        variant = _rx2(context, session, gateway, timing)
    else:
        found = _ping_slot_variant(context, device, session, gateway)
        if found is None:
            return
        variant = found
    plan = Plan()
    _take_item(context, device, session, variant.room, None, plan)
    if plan.item:
        _send(context, device, session, gateway.gateway_id, [variant], plan)


def _ping_slot_variant(context: Context, device: Device, session: Session, gateway: Reception) -> Variant | None:
    if not session.ping_slot_nb:
        return None
    now = mac.gps_seconds(context.now)
    slot = class_b.next_ping_slot(now + PING_SLOT_LEAD, session.dev_addr, session.ping_slot_nb)
    advance = slot - now
    if advance > context.settings.class_b_schedule_advance:
        device.scheduler_run_after = context.now + advance - context.settings.class_b_schedule_advance
        return None
    device.scheduler_run_after = context.now + advance
    timing = gw.Timing(gps_epoch=gw.GPSEpochTimingInfo(time_since_gps_epoch=_duration(slot)))
    frequency = session.ping_slot_frequency or context.region.ping_frequency()
    return _variant(context, session, gateway, session.ping_slot_dr, frequency, timing)


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(round(seconds * NANOSECONDS))
    return duration


def _modulation(rate: DataRate) -> gw.Modulation:
    lora = gw.LoraModulationInfo(
        bandwidth=rate.bandwidth,
        spreading_factor=rate.spreading_factor,
        code_rate=gw.CR_4_5,
        polarization_inversion=True,
    )
    return gw.Modulation(lora=lora)


def _variant(
    context: Context, session: Session | None, gateway: Reception, dr: int, frequency: int, timing: gw.Timing
) -> Variant:
    tx_info = gw.DownlinkTxInfo(
        frequency=frequency,
        power=context.region.eirp(frequency),
        modulation=_modulation(context.region.down[dr]),
        board=gateway.board,
        antenna=gateway.antenna,
        timing=timing,
        context=gateway.context,
    )
    versions = (session.mac_version, session.reg_params_revision) if session else (0, 0)
    return Variant(tx_info, context.region.max_payload_size(dr, *versions))


def _delay(seconds: float) -> gw.Timing:
    return gw.Timing(delay=gw.DelayTimingInfo(delay=_duration(seconds)))


def _rx1(context: Context, session: Session, gateway: Reception, uplink: Uplink) -> Variant:
    dr = context.region.rx1_dr(uplink.dr, session.rx1_dr_offset)
    frequency = context.region.rx1_frequency(uplink.tx_info.frequency, uplink.channel)
    return _variant(context, session, gateway, dr, frequency, _delay(session.rx1_delay or DEFAULT_RX1_DELAY))


def _rx2(context: Context, session: Session, gateway: Reception, timing: gw.Timing) -> Variant:
    frequency = session.rx2_frequency or context.region.rx2_frequency
    return _variant(context, session, gateway, session.rx2_dr, frequency, timing)


def _class_a_variants(context: Context, session: Session, gateway: Reception, uplink: Uplink) -> list[Variant]:
    variants = []
    if context.settings.rx_window in (0, 1):
        variants.append(_rx1(context, session, gateway, uplink))
    if context.settings.rx_window in (0, 2):
        timing = _delay((session.rx1_delay or DEFAULT_RX1_DELAY) + 1)
        variants.append(_rx2(context, session, gateway, timing))
    return variants


def _take_item(
    context: Context, device: Device, session: Session, room: int, uplink: Uplink | None, plan: Plan
) -> None:
    """Find the item to send; discard items before it that can no longer be sent, with their events."""
    while found := device_queue.following(context.tables, device.dev_eui, context.now):
        item, plan.more = found
        identifier = {"queue_item_id": str(item.id)}
        if item.is_pending:
            context.drop_item(item)
            _nack(context, device, item, uplink)
        elif item.expires_at is not None and item.expires_at < context.now:
            context.drop_item(item)
            text = "Device queue-item discarded because it has expired"
            context.log(device, integration.ERROR, integration.EXPIRED, text, identifier)
        elif len(item.data) > room:
            context.drop_item(item)
            text = "Device queue-item discarded because it exceeds the max. payload size"
            details = {"max_payload_size": str(room), "item_size": str(len(item.data)), **identifier}
            context.log(device, integration.ERROR, integration.DOWNLINK_PAYLOAD_SIZE, text, details)
        elif item.is_encrypted and (item.f_cnt_down or 0) < session.a_f_cnt_down:
            context.drop_item(item)
            text = "Device queue-item discarded because the frame-counter is invalid"
            details = {
                "device_f_cnt_down": str(session.a_f_cnt_down),
                "queue_item_f_cnt_down": str(item.f_cnt_down or 0),
                **identifier,
            }
            context.log(device, integration.ERROR, integration.F_CNT_DOWN, text, details)
        else:
            plan.item = item
            return
    plan.more = False


def _nack(context: Context, device: Device, item: QueueItem, uplink: Uplink | None) -> None:
    event = integration.AckEvent(
        deduplication_id=str(uplink.id) if uplink else "",
        time=timestamp(context.now),
        device_info=context.info(device),
        queue_item_id=str(item.id),
        acknowledged=False,
        f_cnt_down=item.f_cnt_down or 0,
    )
    context.emit(device, "ack", event)


def _fill(device: Device, session: Session, variant: Variant, plan: Plan) -> tuple[Data, bytes]:
    """Put MAC commands, then the item, into one variant's frame; return the frame and the MAC commands in it."""
    taken: list[bytes] = []
    for command in plan.commands:
        if len(command) > variant.room:
            break
        variant.room -= len(command)
        taken.append(command)
        mac.remember(session, command)
    commands = b"".join(taken)
    item = plan.item
    f_port: int | None = None
    payload = b""
    counter = session.n_f_cnt_down
    confirmed = False
    keys = session.keys
    if len(commands) > mac.MAX_F_OPTS:
        # the item waits for another frame
        plan.more = item is not None
        f_port, payload = 0, commands
    elif item and len(item.data) <= variant.room:
        counter = (item.f_cnt_down or 0) if item.is_encrypted else session.a_f_cnt_down
        f_port, payload, confirmed = item.f_port, item.data, item.confirmed
        if item.is_encrypted:
            keys = replace(keys, app_s_key=b"")  # the application has encrypted it
    elif item:
        plan.more = True
    frame = Data(
        uplink=False,
        dev_addr=session.dev_addr,
        f_cnt=counter,
        confirmed=confirmed,
        adr=True,
        ack=plan.ack,
        f_pending=plan.more,
        f_opts=b"" if f_port == 0 else commands,
        f_port=f_port,
        frm_payload=payload,
    )
    inputs = MicInputs(conf_f_cnt=max(device.f_cnt_up - 1, 0))
    return frame, seal_data(frame, keys, v1_1=not session.is_1_0, mic=inputs)


def _send(
    context: Context, device: Device, session: Session, gateway_id: str, variants: list[Variant], plan: Plan
) -> None:
    clear = plan.item is not None and not plan.item.is_encrypted
    if clear and session.app_s_key is not None and session.app_s_key.aes_key:
        context.warn(f"{device.eui}: the wrapped AppSKey encrypts nothing; the queue item stays, and is in the way")
        return
    frame = gw.DownlinkFrame(downlink_id=context.rng.getrandbits(32), gateway_id=gateway_id)
    made: list[Data] = []
    a_f_cnt_down = session.a_f_cnt_down
    for variant in variants:
        data, phy_payload = _fill(device, session, variant, plan)
        made.append(data)
        frame.items.append(gw.DownlinkFrameItem(phy_payload=phy_payload, tx_info=variant.tx_info))
    item = plan.item
    if item and not item.is_encrypted:
        item.f_cnt_down = a_f_cnt_down
    elif item:
        a_f_cnt_down = item.f_cnt_down or 0
    first = made[0]
    entry = _entry(context, frame, device.eui, "data")
    entry.f_cnt_down, entry.f_port = first.f_cnt, first.f_port
    entry.confirmed, entry.ack, entry.f_pending = first.confirmed, first.ack, first.f_pending
    entry.payload = first.frm_payload
    entry.queue_item_id = str(item.id) if item else ""
    flight = Flight(
        frame=frame,
        dev_eui=device.dev_eui,
        queue_item_id=item.id if item else None,
        a_f_cnt_down=a_f_cnt_down,
        with_payload=[bool(data.f_port) for data in made],
        is_data=True,
        entry=entry,
    )
    _transmit(context, flight)


def join_accept(context: Context, device: Device, uplink: Uplink, phy_payload: bytes) -> None:
    """Send a Join-Accept in both join windows."""
    gateway = select_gateway(context, receptions(context, uplink))
    region = context.region
    rx1 = _variant(
        context,
        None,
        gateway,
        region.rx1_dr(uplink.dr, 0),
        region.rx1_frequency(uplink.tx_info.frequency, uplink.channel),
        _delay(JOIN_ACCEPT_DELAY),
    )
    rx2 = _variant(context, None, gateway, region.rx2_dr, region.rx2_frequency, _delay(JOIN_ACCEPT_DELAY + 1))
    frame = gw.DownlinkFrame(downlink_id=context.rng.getrandbits(32), gateway_id=gateway.gateway_id)
    for variant in (rx1, rx2):
        frame.items.append(gw.DownlinkFrameItem(phy_payload=phy_payload, tx_info=variant.tx_info))
    entry = _entry(context, frame, device.eui, "join accept")
    _transmit(context, Flight(frame, device.dev_eui, None, 0, [False, False], is_data=False, entry=entry))


def _entry(context: Context, frame: gw.DownlinkFrame, dev_eui: str, kind: str) -> AirEntry:
    items: list[dict[str, object]] = [
        {
            "frequency": item.tx_info.frequency,
            "spreading_factor": item.tx_info.modulation.lora.spreading_factor,
            "timing": item.tx_info.timing.WhichOneof("parameters"),
            "delay": item.tx_info.timing.delay.delay.ToNanoseconds() / NANOSECONDS,
            "phy_payload": item.phy_payload.hex(),
        }
        for item in frame.items
    ]
    return AirEntry(context.now, frame.downlink_id, frame.gateway_id, dev_eui, kind, items)


def _transmit(context: Context, flight: Flight) -> None:
    if len(context.flights) >= MAX_FRAMES_IN_FLIGHT:
        context.flights.pop(next(iter(context.flights)))
    context.flights[flight.frame.downlink_id] = flight
    context.air.append(flight.entry)
    context.count("downlink_sent")
    context.effects.append(Send(flight.frame))
