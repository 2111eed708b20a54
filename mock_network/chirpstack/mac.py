"""MAC commands as the network server asks and answers them (LoRaWAN 1.0.4 §5, 1.1 §5): what rides in FOpts or FPort 0.

ADR is left to the device: the server sends no LinkADRReq, whatever `adr_algorithm_id` says.
"""

from dataclasses import dataclass, field

from chirpstack_api import common, integration

from mock_network.faults import Fault

from .context import Context, Uplink
from .model import Device, DeviceProfile, Session
from .region import REQUIRED_SNR
from .values import timestamp

LINK_CHECK, RX_PARAM_SETUP, DEV_STATUS, NEW_CHANNEL, RX_TIMING_SETUP = 0x02, 0x05, 0x06, 0x07, 0x08
DEVICE_TIME, PING_SLOT_INFO, PING_SLOT_CHANNEL, DEVICE_MODE, RESET, REKEY = 0x0D, 0x10, 0x11, 0x20, 0x01, 0x0B
UPLINK_SIZES = {
    RESET: 1, LINK_CHECK: 0, 0x03: 1, 0x04: 0, RX_PARAM_SETUP: 1, DEV_STATUS: 2, NEW_CHANNEL: 1, RX_TIMING_SETUP: 0,
    0x09: 0, 0x0A: 1, REKEY: 1, DEVICE_TIME: 0, 0x0F: 1, PING_SLOT_INFO: 1, PING_SLOT_CHANNEL: 1, 0x13: 1,
    DEVICE_MODE: 1,
}  # fmt: skip
"""Payload bytes of each command a device may send, by CID."""
MAX_F_OPTS = 15
GPS_EPOCH = 315_964_800  # UNIX seconds of 1980-01-06
LEAP_SECONDS = 18  # GPS is ahead of UTC by this since 2017
SECONDS_PER_DAY = 86_400
BATTERY_UNKNOWN, BATTERY_EXTERNAL, BATTERY_FULL = 255, 0, 254
MARGIN_BITS, MARGIN_SIGN = 0x3F, 0x20
MINOR_1_1 = 1
CLASS_C_MODE = 2
HUNDRED_HERTZ = 100


@dataclass(slots=True)
class Answers:
    """What a device's MAC commands call for: commands to send back, and whether a downlink is due in any case."""

    commands: list[bytes] = field(default_factory=list)
    must_send: bool = False


def gps_seconds(now: float) -> float:
    """Return the seconds since the GPS epoch."""
    return now - GPS_EPOCH + LEAP_SECONDS


def split(raw: bytes) -> list[tuple[int, bytes]]:
    """Cut a device's MAC commands apart; from an unknown or cut command on, the rest is ignored (LoRaWAN 1.0.4 §5)."""
    found = []
    position = 0
    while position < len(raw):
        cid = raw[position]
        size = UPLINK_SIZES.get(cid)
        if size is None or position + 1 + size > len(raw):
            break
        found.append((cid, raw[position + 1 : position + 1 + size]))
        position += 1 + size
    return found


def handle(context: Context, device: Device, session: Session, uplink: Uplink, raw: bytes) -> Answers:
    """Take the MAC commands of an accepted uplink."""
    answers = Answers()
    for cid, payload in split(raw):
        if cid in (RX_TIMING_SETUP, RX_PARAM_SETUP):
            answers.must_send = (
                True  # the device repeats the answer until it hears a downlink (LoRaWAN 1.0.4 §5.4, §5.7)
            )
        _settle(session, cid, payload)
        if cid == LINK_CHECK:
            answers.commands.append(_link_check(context, uplink))
        elif cid == DEVICE_TIME:
            answers.commands.append(_device_time(uplink))
        elif cid == DEV_STATUS:
            _device_status(context, device, uplink, payload)
        elif cid == PING_SLOT_INFO:
            session.ping_slot_nb = 1 << (7 - (payload[0] & 0x07))
            answers.commands.append(bytes([PING_SLOT_INFO]))
        elif cid == DEVICE_MODE:
            device.enabled_class = common.CLASS_C if payload[0] == CLASS_C_MODE else common.CLASS_A
            answers.commands.append(bytes([DEVICE_MODE]) + payload)
        elif cid in (REKEY, RESET):
            answers.commands.append(bytes([cid, MINOR_1_1]))
    return answers


def _settle(session: Session, cid: int, payload: bytes) -> None:
    """Apply a request of ours that the device has now answered."""
    request = session.pending_mac.pop(cid, None)
    if request is None:
        return
    if cid == RX_TIMING_SETUP:
        session.rx1_delay = request[1] & 0x0F
    elif cid == RX_PARAM_SETUP and payload[0] & 0x07 == 0x07:  # noqa: PLR2004 - the three ACK bits
        session.rx1_dr_offset, session.rx2_dr = (request[1] >> 4) & 0x07, request[1] & 0x0F
        session.rx2_frequency = int.from_bytes(request[2:5], "little") * HUNDRED_HERTZ
    elif cid == PING_SLOT_CHANNEL and payload[0] & 0x03 == 0x03:  # noqa: PLR2004 - the two ACK bits
        session.ping_slot_frequency = int.from_bytes(request[1:4], "little") * HUNDRED_HERTZ
        session.ping_slot_dr = request[4] & 0x0F


def _link_check(context: Context, uplink: Uplink) -> bytes:
    required = REQUIRED_SNR[context.region.up[uplink.dr].spreading_factor]
    best = max(item.snr for item in uplink.rx_info)
    margin = min(max(int(best - required), 0), 254)
    return bytes([LINK_CHECK, margin, len(uplink.rx_info)])


def _device_time(uplink: Uplink) -> bytes:
    at = gps_seconds(uplink.time)
    return bytes([DEVICE_TIME]) + int(at).to_bytes(4, "little") + bytes([int((at % 1) * 256)])


def _device_status(context: Context, device: Device, uplink: Uplink, payload: bytes) -> None:
    battery, margin = payload[0], payload[1] & MARGIN_BITS
    margin -= (MARGIN_BITS + 1) if margin & MARGIN_SIGN else 0
    device.margin, device.external_power_source = margin, battery == BATTERY_EXTERNAL
    known = battery not in (BATTERY_UNKNOWN, BATTERY_EXTERNAL)
    device.battery_level = battery / BATTERY_FULL * 100 if known else None
    event = integration.StatusEvent(
        deduplication_id=str(uplink.id),
        time=timestamp(uplink.time),
        device_info=context.info(device),
        margin=margin,
        external_power_source=device.external_power_source,
        battery_level_unavailable=battery == BATTERY_UNKNOWN,
        battery_level=device.battery_level or 0.0,
    )
    context.emit(device, "status", event)


def requests(context: Context, device: Device, profile: DeviceProfile, session: Session) -> list[bytes]:
    """Return the commands for the next class A downlink; each is repeated until it is answered."""
    wanted: list[bytes] = []
    interval = profile.message.device_status_req_interval
    last = session.last_device_status_request
    if interval and (last is None or context.now - last >= SECONDS_PER_DAY / interval):
        session.last_device_status_request = context.now
        wanted.append(bytes([DEV_STATUS]))
    region, settings = context.region, context.settings
    if profile.message.supports_class_b:
        slot = (settings.class_b_ping_slot_frequency, settings.class_b_ping_slot_dr)
        if (session.ping_slot_frequency, session.ping_slot_dr) != slot:
            hertz = (slot[0] // HUNDRED_HERTZ).to_bytes(3, "little")
            wanted.append(bytes([PING_SLOT_CHANNEL]) + hertz + bytes([slot[1]]))
    ours = (region.rx2_frequency, region.rx2_dr, settings.rx1_dr_offset)
    if (session.rx2_frequency, session.rx2_dr, session.rx1_dr_offset) != ours:
        hertz = (region.rx2_frequency // HUNDRED_HERTZ).to_bytes(3, "little")
        wanted.append(bytes([RX_PARAM_SETUP, settings.rx1_dr_offset << 4 | region.rx2_dr]) + hertz)
    delay = max(settings.rx1_delay, profile.message.rx1_delay)
    if session.rx1_delay != delay:
        wanted.append(bytes([RX_TIMING_SETUP, delay]))
    crowd = context.faults.draw("crowding", dev_eui=device.eui)
    if crowd:
        wanted.extend(_crowd(context, _size_of(crowd)))
    return wanted


def _size_of(fault: Fault) -> int:
    size = fault.params.get("bytes", MAX_F_OPTS + 1)
    return size if isinstance(size, int) else MAX_F_OPTS + 1


def _crowd(context: Context, size: int) -> list[bytes]:
    """Make at least `size` bytes of harmless requests: status asked again, channels set to what they are."""
    commands: list[bytes] = []
    channels = [*context.region.uplink_channels, *context.region.cf_list]
    index = 3  # the first channel that a network may define (EU868 §2.4: 0-2 are fixed)
    while sum(map(len, commands)) + 6 <= size and index < len(channels):
        hertz = (channels[index] // HUNDRED_HERTZ).to_bytes(3, "little")
        commands.append(bytes([NEW_CHANNEL, index]) + hertz + bytes([0x50]))
        index += 1
    while sum(map(len, commands)) < size:
        commands.append(bytes([DEV_STATUS]))
    return commands


def remember(session: Session, command: bytes) -> None:
    """Record that a request was put into a frame, so that the device's answer can be applied."""
    session.pending_mac[command[0]] = command
