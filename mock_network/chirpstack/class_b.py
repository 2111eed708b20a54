"""Class B ping slots (LoRaWAN 1.0.4 §13): when a device listens within the 128 s between two beacons. GPS seconds."""

from mock_network.lorawan.crypto import aes

BEACON_PERIOD = 128.0
BEACON_RESERVED = 2.120
SLOT = 0.030
SLOTS_PER_PERIOD = 4096


def ping_offset(beacon_time: int, dev_addr: int, ping_slot_nb: int) -> int:
    """Return the device's pseudo-random first slot of this beacon period."""
    block = (beacon_time % (1 << 32)).to_bytes(4, "little") + dev_addr.to_bytes(4, "little") + bytes(8)
    rand = aes(bytes(16), block)
    return (rand[0] + rand[1] * 256) % (SLOTS_PER_PERIOD // ping_slot_nb)


def next_ping_slot(after: float, dev_addr: int, ping_slot_nb: int) -> float:
    """Return the first ping slot that begins later than `after`."""
    beacon = int(after - after % BEACON_PERIOD)
    period = SLOTS_PER_PERIOD // ping_slot_nb
    while True:
        offset = ping_offset(beacon, dev_addr, ping_slot_nb)
        for number in range(ping_slot_nb):
            slot = beacon + BEACON_RESERVED + SLOT * (offset + number * period)
            if slot > after:
                return slot
        beacon += int(BEACON_PERIOD)
