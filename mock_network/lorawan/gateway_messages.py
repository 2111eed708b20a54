"""Translation between the radio border and ChirpStack v4's gateway messages (`gw.proto`), as protobuf or JSON."""

from dataclasses import dataclass
from typing import TypeVar

from chirpstack_api import gw
from google.protobuf.json_format import MessageToJson, Parse, ParseError
from google.protobuf.message import DecodeError, Message

from mock_network.lorawan.class_b import gps_time
from mock_network.lorawan.radio import (
    DataRate,
    Delay,
    DownlinkFrame,
    DownlinkItem,
    Fsk,
    GpsEpoch,
    Immediately,
    LoRa,
    Timing,
    TxAck,
    UplinkFrame,
)

NANOSECONDS = 1_000_000_000
FSK_DEVIATION = 25_000  # Hz
LORA_DEMODULATORS = 8

M = TypeVar("M", bound=Message)


class GatewayMessageError(Exception):
    """Bytes that are not a gateway message, or one that this gateway cannot carry out."""


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """What a `gw.GatewayConfiguration` asks for."""

    version: str
    frequencies: frozenset[int]  # Hz that the gateway shall listen on; none: leave as it is
    stats_interval: float | None  # seconds


def encode(message: Message, *, as_json: bool) -> bytes:
    """Return the bytes of a message."""
    return MessageToJson(message, indent=None).encode() if as_json else message.SerializeToString()


def uplink(frame: UplinkFrame, *, gps: bool) -> gw.UplinkFrame:
    """Return the event `up` of a frame."""
    message = gw.UplinkFrame(
        phy_payload=frame.phy_payload,
        tx_info=gw.UplinkTxInfo(frequency=frame.frequency, modulation=_modulation(frame.data_rate)),
        rx_info=gw.UplinkRxInfo(
            gateway_id=frame.gateway_id,
            uplink_id=frame.uplink_id,
            rssi=frame.rssi,
            snr=frame.snr,
            channel=(frame.frequency // 100_000) % LORA_DEMODULATORS,
            context=frame.context,
            crc_status=gw.CRC_OK,
        ),
    )
    message.rx_info.gw_time.FromNanoseconds(_nanoseconds(frame.received_at))
    if gps:
        message.rx_info.time_since_gps_epoch.FromNanoseconds(_nanoseconds(gps_time(frame.received_at)))
    return message


def tx_ack(ack: TxAck) -> gw.DownlinkTxAck:
    """Return the event `ack` of a gateway's answer."""
    message = gw.DownlinkTxAck(gateway_id=ack.gateway_id, downlink_id=ack.downlink_id)
    for status in ack.statuses:
        message.items.add(status=gw.TxAckStatus.ValueType(status.value))
    return message


def stats(
    gateway_id: str, now: float, *, received: int, commands: int, emitted: int, config_version: str
) -> gw.GatewayStats:
    """Return the event `stats`: counts since the last one."""
    message = gw.GatewayStats(
        gateway_id=gateway_id,
        config_version=config_version,
        rx_packets_received=received,
        rx_packets_received_ok=received,
        tx_packets_received=commands,
        tx_packets_emitted=emitted,
    )
    message.time.FromNanoseconds(_nanoseconds(now))
    return message


def conn_state(gateway_id: str, *, online: bool) -> gw.ConnState:
    """Return the retained state `conn`."""
    return gw.ConnState(gateway_id=gateway_id, state=gw.ConnState.ONLINE if online else gw.ConnState.OFFLINE)


def parse_downlink(payload: bytes, gateway_id: str) -> DownlinkFrame:
    """Read `command/down` for a gateway. Raises GatewayMessageError."""
    message = _parse(payload, gw.DownlinkFrame())
    if message.gateway_id != gateway_id:
        raise GatewayMessageError(f"a downlink for {message.gateway_id!r} came to {gateway_id}")
    if not message.items:
        raise GatewayMessageError(f"downlink {message.downlink_id} without items")
    return DownlinkFrame(message.downlink_id, gateway_id, tuple(_item(item) for item in message.items))


def parse_configuration(payload: bytes) -> GatewaySettings:
    """Read `command/config`. Raises GatewayMessageError."""
    message = _parse(payload, gw.GatewayConfiguration())
    interval = message.stats_interval.ToNanoseconds() / NANOSECONDS if message.HasField("stats_interval") else 0.0
    return GatewaySettings(
        message.version, frozenset(c.frequency for c in message.channels), interval if interval > 0 else None
    )


def _parse(payload: bytes, message: M) -> M:
    try:
        if payload.startswith(b"{"):
            return Parse(payload, message, ignore_unknown_fields=True)
        message.ParseFromString(payload)
    except (ParseError, DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise GatewayMessageError(f"{message.DESCRIPTOR.name}: {error}") from error
    return message


def _item(item: gw.DownlinkFrameItem) -> DownlinkItem:
    info = item.tx_info
    return DownlinkItem(
        item.phy_payload, info.frequency, _data_rate(info.modulation), _timing(info.timing), info.power, info.context
    )


def _data_rate(modulation: gw.Modulation) -> DataRate:
    match modulation.WhichOneof("parameters"):
        case "lora":
            if not 5 <= modulation.lora.spreading_factor <= 12 or not modulation.lora.bandwidth:  # noqa: PLR2004
                raise GatewayMessageError(f"spreading factor {modulation.lora.spreading_factor}")
            return LoRa(modulation.lora.spreading_factor, modulation.lora.bandwidth)
        case "fsk" if modulation.fsk.datarate:
            return Fsk(modulation.fsk.datarate)
        case other:
            raise GatewayMessageError(f"modulation {other}")


def _modulation(rate: DataRate) -> gw.Modulation:
    if isinstance(rate, Fsk):
        return gw.Modulation(fsk=gw.FskModulationInfo(datarate=rate.bitrate, frequency_deviation=FSK_DEVIATION))
    lora = gw.LoraModulationInfo(bandwidth=rate.bandwidth, spreading_factor=rate.spreading_factor, code_rate=gw.CR_4_5)
    return gw.Modulation(lora=lora)


def _timing(timing: gw.Timing) -> Timing:
    match timing.WhichOneof("parameters"):
        case "immediately":
            return Immediately()
        case "delay":
            return Delay(timing.delay.delay.ToNanoseconds() / NANOSECONDS)
        case "gps_epoch":
            return GpsEpoch(timing.gps_epoch.time_since_gps_epoch.ToNanoseconds() / NANOSECONDS)
        case _:
            raise GatewayMessageError("a downlink without timing")


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e6) * 1000
