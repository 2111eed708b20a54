"""Learns parameters of a device's radio from transmissions of downlinks, if the network server does not report them."""

from bindings.lorawan.network_events import TxAck
from bindings.lorawan.notes import DeviceNote
from bindings.lorawan.regions import data_rate_of, is_first_window, is_known, rx1_data_rates

_TOLERATED = 2.0  # seconds after a window in which the event of a transmission may come


def learn(record: DeviceNote, region: str, event: TxAck, now: float) -> bool:
    """Learn from a live event of a transmission; return whether the note changed. `now`: our wall clock.

    RX1 shows the RX1DROffset by the data rates of uplink and downlink: several are possible if the downlink has
    the slowest. A contradiction replaces the note: the network server has changed the device's parameters.
    """
    if not is_known(region):
        return False
    dr = data_rate_of(region, event.spreading_factor, event.bandwidth)
    if dr is None:
        return False
    if event.immediately:
        return _is_rx2(record, dr)
    answers_latest = record.dr >= 0 and 0 <= now - record.heard_at <= event.delay + _TOLERATED
    first = is_first_window(region, record.frequency, event.frequency)
    if not event.delay or not answers_latest or first is None:
        return False
    return _is_rx1(record, region, dr) if first else _is_rx2(record, dr)


def _is_rx1(record: DeviceNote, region: str, dr: int) -> bool:
    plain = rx1_data_rates(region, record.dr, dwell=False) or ()
    dwelling = rx1_data_rates(region, record.dr, dwell=True) or ()
    possible = tuple(offset for offset, rates in enumerate(zip(plain, dwelling, strict=True)) if dr in rates)
    both = tuple(offset for offset in possible if offset in record.rx1_dr_offsets)
    before, record.rx1_dr_offsets = record.rx1_dr_offsets, both or possible
    return record.rx1_dr_offsets != before


def _is_rx2(record: DeviceNote, dr: int) -> bool:
    before, record.rx2_dr = record.rx2_dr, dr
    return dr != before
