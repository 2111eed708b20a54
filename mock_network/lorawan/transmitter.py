"""The sending half of a device's radio: it picks a channel, keeps the duty cycle, and says where an answer is heard."""

import random

from mock_network.lorawan.airtime import time_on_air
from mock_network.lorawan.device_config import DeviceConfig
from mock_network.lorawan.radio import DataRate
from mock_network.lorawan.session import RadioSettings
from mock_network.lorawan.transmission import DutyCycle, Transmission


class Transmitter:
    """Puts frames on air by the current settings; randomness is passed in."""

    def __init__(self, config: DeviceConfig, rng: random.Random) -> None:
        self._config, self._rng = config, rng
        self._duty = DutyCycle(config.region)

    def channel(self, settings: RadioSettings, data_rate: int, now: float) -> int:
        """Draw one of the channels that are free now."""
        usable = _usable(settings, data_rate)
        free = [c for c in usable if self._duty.free_at(settings.channels[c].frequency) <= now]
        return self._rng.choice(free or usable)

    def free_at(self, settings: RadioSettings, data_rate: int) -> float:
        """Return the time from which a channel for a data rate is free."""
        return min(self._duty.free_at(settings.channels[c].frequency) for c in _usable(settings, data_rate))

    def transmit(
        self,
        settings: RadioSettings,
        phy_payload: bytes,
        data_rate: int,
        channel: int,
        now: float,
        *,
        delay: float,
        join: bool = False,
    ) -> Transmission:
        """Send; `delay` is from the end of the frame to the opening of RX1."""
        region, used = settings.region, settings.channels[channel]
        modulation = region.data_rates[data_rate]
        airtime = time_on_air(len(phy_payload), modulation)
        rx1_frequency, rx1_rate = region.rx1(channel, used.frequency, data_rate, settings.rx1_offset)
        tx = Transmission(
            phy_payload=phy_payload,
            frequency=used.frequency,
            data_rate=modulation,
            power=region.tx_power(settings.tx_power_index),
            start=now,
            end=now + airtime,
            rx1_open=now + airtime + delay,
            rx1=(used.rx1_frequency or rx1_frequency, region.data_rates[rx1_rate]),
            rx2=rx2(settings),
            join=join,
        )
        if self._config.duty_cycle:
            self._duty.sent(used.frequency, tx.end, airtime, total_exponent=settings.max_duty_cycle)
        return tx


def rx2(settings: RadioSettings) -> tuple[int, DataRate]:
    """Return frequency and modulation of RX2."""
    return settings.rx2_frequency, settings.region.data_rates[settings.rx2_data_rate]


def _usable(settings: RadioSettings, data_rate: int) -> list[int]:
    return settings.usable(data_rate) or sorted(settings.enabled)
