"""How a device answers the MAC commands of a network (TS001 §5): it applies what it can and answers accordingly."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from mock_network.lorawan.mac_commands import Cid, Command
from mock_network.lorawan.regions import Channel
from mock_network.lorawan.session import RadioSettings

KEEP = 0x0F  # "leave as it is" in LinkADRReq of 1.0.4 and 1.1
# Answers repeated in every uplink until a downlink shows that the network has one (TS001 §5.4, §5.7, §5.8).
STICKY = frozenset({Cid.RX_PARAM_SETUP, Cid.RX_TIMING_SETUP, Cid.DL_CHANNEL, Cid.PING_SLOT_CHANNEL})


@dataclass(frozen=True, slots=True)
class DeviceCondition:
    """What DevStatusAns reports. `battery`: 0 external power, 1..254 level, 255 unknown; `snr` of this downlink."""

    battery: int
    snr: float


@dataclass(slots=True)
class Outcome:
    """What came of a downlink's commands."""

    answers: list[Command] = field(default_factory=list)
    confirmed: set[Cid] = field(default_factory=set)  # indications of ours that the network confirmed
    device_time: tuple[int, int] | None = None  # GPS seconds, and 1/256 s
    rejoin: bool = False


def answer(commands: list[Command], settings: RadioSettings, condition: DeviceCondition) -> Outcome:
    """Apply commands in their order, changing `settings`, and return the answers in the same order."""
    outcome = Outcome()
    at = 0
    while at < len(commands):
        command = commands[at]
        if command.cid is Cid.LINK_ADR:
            block = [command]
            while at + len(block) < len(commands) and commands[at + len(block)].cid is Cid.LINK_ADR:
                block.append(commands[at + len(block)])
            status = _link_adr(block, settings)
            outcome.answers += [Command(Cid.LINK_ADR, bytes((status,)))] * len(block)
            at += len(block)
            continue
        _single(command, settings, condition, outcome)
        at += 1
    return outcome


def _single(command: Command, settings: RadioSettings, condition: DeviceCondition, outcome: Outcome) -> None:
    payload = command.payload
    match command.cid:
        case Cid.RX_PARAM_SETUP | Cid.NEW_CHANNEL | Cid.DL_CHANNEL | Cid.PING_SLOT_CHANNEL | Cid.BEACON_FREQ:
            if command.cid in (Cid.NEW_CHANNEL, Cid.DL_CHANNEL) and not settings.region.dynamic:
                return  # not for regions with fixed channels: ignored (RP002 §2.5.5)
            answered = bytes((_CHANGES[command.cid](payload, settings),))
        case Cid.DUTY_CYCLE | Cid.RX_TIMING_SETUP | Cid.ADR_PARAM_SETUP:
            _obey(command, settings)
            answered = b""
        case Cid.DEV_STATUS:
            margin = max(-32, min(31, round(condition.snr)))
            answered = bytes((condition.battery, margin & 0x3F))
        case Cid.REJOIN_PARAM_SETUP:
            answered = b"\0"  # periodic rejoins by time are not supported; those by count are not sent either
        case _:
            _note(command, outcome)
            return
    outcome.answers.append(Command(command.cid, answered))


def _note(command: Command, outcome: Outcome) -> None:
    """Take what needs no answer. LinkCheckAns, BeaconTimingAns and TxParamSetupReq mean nothing to this device."""
    match command.cid:
        case Cid.DEVICE_TIME:
            outcome.device_time = int.from_bytes(command.payload[:4], "little"), command.payload[4]
        case Cid.FORCE_REJOIN:
            outcome.rejoin = True
        case Cid.REKEY | Cid.RESET | Cid.DEVICE_MODE | Cid.PING_SLOT_INFO:
            outcome.confirmed.add(command.cid)


def _obey(command: Command, settings: RadioSettings) -> None:
    """Apply what a device cannot refuse."""
    value = command.payload[0]
    match command.cid:
        case Cid.DUTY_CYCLE:
            settings.max_duty_cycle = value & 0x0F
        case Cid.RX_TIMING_SETUP:
            settings.rx1_delay = max(value & 0x0F, 1)
        case Cid.ADR_PARAM_SETUP:
            settings.adr_ack_limit, settings.adr_ack_delay = 1 << (value >> 4), 1 << (value & 0x0F)


def _link_adr(block: list[Command], settings: RadioSettings) -> int:
    """Apply contiguous LinkADRReq as one (TS001 §5.2): all or nothing. Give the status bits: power, data rate, mask."""
    region = settings.region
    enabled, mask_ok = settings.enabled, True
    for command in block:
        mask, control = int.from_bytes(command.payload[1:3], "little"), command.payload[3] >> 4 & 0x07
        try:
            enabled = region.channel_mask(enabled, frozenset(settings.channels), mask, control)
        except ValueError:
            mask_ok = False
    mask_ok = mask_ok and bool(enabled)
    last = block[-1].payload
    data_rate, power, nb_trans = last[0] >> 4, last[0] & 0x0F, last[3] & 0x0F
    if data_rate == KEEP:
        data_rate = settings.data_rate
    if power == KEEP:
        power = settings.tx_power_index
    data_rate_ok = data_rate in region.uplink_limits and settings.supports(data_rate, enabled)
    power_ok = power <= region.max_tx_power_index
    if mask_ok and data_rate_ok and power_ok:
        settings.enabled = enabled
        settings.data_rate = data_rate
        settings.tx_power_index = power
        settings.nb_trans = nb_trans or settings.nb_trans
    return mask_ok | data_rate_ok << 1 | power_ok << 2


def _rx_param_setup(payload: bytes, settings: RadioSettings) -> int:
    offset, data_rate = payload[0] >> 4 & 0x07, payload[0] & 0x0F
    frequency = 100 * int.from_bytes(payload[1:4], "little")
    frequency_ok = _in_band(frequency, settings)
    data_rate_ok = data_rate in settings.region.downlink_limits
    offset_ok = offset <= settings.region.max_rx1_offset
    if frequency_ok and data_rate_ok and offset_ok:
        settings.rx1_offset = offset
        settings.rx2_data_rate = data_rate
        settings.rx2_frequency = frequency
    return frequency_ok | data_rate_ok << 1 | offset_ok << 2


def _new_channel(payload: bytes, settings: RadioSettings) -> int:
    index = payload[0]
    frequency = 100 * int.from_bytes(payload[1:4], "little")
    highest, lowest = payload[4] >> 4, payload[4] & 0x0F
    default = index < len(settings.region.channels)
    frequency_ok = (
        not default and index < settings.region.max_channels and (not frequency or _in_band(frequency, settings))
    )
    data_rate_ok = lowest <= highest and {lowest, highest} <= set(settings.region.uplink_limits)
    if frequency_ok and data_rate_ok:
        if frequency:
            settings.channels[index] = Channel(frequency, lowest, highest)
            settings.enabled |= {index}
        else:
            settings.channels.pop(index, None)
            # never without any channel
            settings.enabled = settings.enabled - {index} or frozenset(range(len(settings.region.channels)))
    return frequency_ok | data_rate_ok << 1


def _dl_channel(payload: bytes, settings: RadioSettings) -> int:
    index = payload[0]
    frequency = 100 * int.from_bytes(payload[1:4], "little")
    frequency_ok = _in_band(frequency, settings)
    known = index in settings.channels
    if frequency_ok and known:
        settings.channels[index] = replace(settings.channels[index], rx1_frequency=frequency)
    return frequency_ok | known << 1


def _ping_slot_channel(payload: bytes, settings: RadioSettings) -> int:
    frequency = 100 * int.from_bytes(payload[:3], "little") or settings.region.ping_frequency
    data_rate = payload[3] & 0x0F
    frequency_ok = _in_band(frequency, settings)
    data_rate_ok = data_rate in settings.region.downlink_limits
    if frequency_ok and data_rate_ok:
        settings.ping_frequency, settings.ping_data_rate = frequency, data_rate
    return frequency_ok | data_rate_ok << 1


def _beacon_freq(payload: bytes, settings: RadioSettings) -> int:
    """Accept only the default beacon frequency."""
    return int.from_bytes(payload, "little") in (0, settings.region.ping_frequency // 100)


def _in_band(frequency: int, settings: RadioSettings) -> bool:
    low, high = settings.region.band
    return low <= frequency < high


_CHANGES: dict[Cid, Callable[[bytes, RadioSettings], int]] = {
    Cid.RX_PARAM_SETUP: _rx_param_setup,
    Cid.NEW_CHANNEL: _new_channel,
    Cid.DL_CHANNEL: _dl_channel,
    Cid.PING_SLOT_CHANNEL: _ping_slot_channel,
    Cid.BEACON_FREQ: _beacon_freq,
}
