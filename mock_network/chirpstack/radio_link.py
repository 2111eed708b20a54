"""The gateway side without a broker: emulated gateways in the same process (`mock_network.lorawan.radio`)."""

from chirpstack_api import gw

from mock_network.lorawan import radio

from .driver import Driver
from .values import NANOSECONDS, timestamp


class RadioLink:
    """Is the `NetworkServer` of the radio side; set `radio_side` before the first downlink."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._gateways: set[str] = set()
        self.radio_side: radio.RadioSide | None = None

    def knows(self, gateway_id: str) -> bool:
        """Return whether this gateway was heard here."""
        return gateway_id in self._gateways

    def uplink(self, frame: radio.UplinkFrame) -> None:
        """Process a frame that a gateway received."""
        self._gateways.add(frame.gateway_id)
        message = gw.UplinkFrame(
            phy_payload=frame.phy_payload,
            tx_info=gw.UplinkTxInfo(frequency=frame.frequency, modulation=_modulation(frame.data_rate)),
            rx_info=gw.UplinkRxInfo(
                gateway_id=frame.gateway_id,
                uplink_id=frame.uplink_id,
                ns_time=timestamp(frame.received_at),
                rssi=frame.rssi,
                snr=frame.snr,
                context=frame.context,
                crc_status=gw.CRC_OK,
            ),
        )
        self._driver.uplink(message)

    def tx_ack(self, ack: radio.TxAck) -> None:
        """Process a gateway's answer to a downlink command."""
        message = gw.DownlinkTxAck(gateway_id=ack.gateway_id, downlink_id=ack.downlink_id)
        for status in ack.statuses:
            message.items.add(status=status.value)  # the same numbers as gw.TxAckStatus
        self._driver.tx_ack(message)

    def send(self, frame: gw.DownlinkFrame) -> None:
        """Send a frame to a gateway, to be transmitted."""
        if self.radio_side is not None:
            items = tuple(_item(item) for item in frame.items)
            self.radio_side.downlink(radio.DownlinkFrame(frame.downlink_id, frame.gateway_id, items))


def _modulation(rate: radio.DataRate) -> gw.Modulation:
    if isinstance(rate, radio.Fsk):
        return gw.Modulation(fsk=gw.FskModulationInfo(datarate=rate.bitrate))
    lora = gw.LoraModulationInfo(bandwidth=rate.bandwidth, spreading_factor=rate.spreading_factor, code_rate=gw.CR_4_5)
    return gw.Modulation(lora=lora)


def _item(item: gw.DownlinkFrameItem) -> radio.DownlinkItem:
    info = item.tx_info
    lora = info.modulation.lora
    return radio.DownlinkItem(
        phy_payload=item.phy_payload,
        frequency=info.frequency,
        data_rate=radio.LoRa(lora.spreading_factor, lora.bandwidth),
        timing=_timing(info.timing),
        power=info.power,
        context=info.context,
    )


def _timing(timing: gw.Timing) -> radio.Timing:
    if timing.HasField("delay"):
        return radio.Delay(timing.delay.delay.ToNanoseconds() / NANOSECONDS)
    if timing.HasField("gps_epoch"):
        return radio.GpsEpoch(timing.gps_epoch.time_since_gps_epoch.ToNanoseconds() / NANOSECONDS)
    return radio.Immediately()
