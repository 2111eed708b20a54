"""Time on air of a frame (Semtech AN1200.13 §4; FSK by TS001 §3): seconds."""

import math

from mock_network.lorawan.radio import DataRate, Fsk

PREAMBLE_SYMBOLS = 8
LOW_DATA_RATE_SYMBOL = 0.016  # seconds; longer symbols use low data rate optimisation (SF11 and SF12 at 125 kHz)
CODE_RATE = 1  # of 4: code rate 4/5
FSK_OVERHEAD = 5 + 3 + 1 + 2  # bytes: preamble, sync word, length, CRC


def symbol_time(spreading_factor: int, bandwidth: int) -> float:
    """Return the duration of one LoRa symbol."""
    return float((1 << spreading_factor) / bandwidth)


def time_on_air(phy_payload_length: int, data_rate: DataRate, *, uplink: bool = True) -> float:
    """Return the duration of a frame of so many bytes; a LoRa downlink has no payload CRC."""
    if isinstance(data_rate, Fsk):
        return (FSK_OVERHEAD + phy_payload_length) * 8 / data_rate.bitrate
    symbol = symbol_time(data_rate.spreading_factor, data_rate.bandwidth)
    optimised = 2 if symbol > LOW_DATA_RATE_SYMBOL else 0
    bits = 8 * phy_payload_length - 4 * data_rate.spreading_factor + 28 + (16 if uplink else 0)
    codewords = math.ceil(max(bits, 0) / (4 * (data_rate.spreading_factor - optimised)))
    return (PREAMBLE_SYMBOLS + 4.25 + 8 + codewords * (CODE_RATE + 4)) * symbol
