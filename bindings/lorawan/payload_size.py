"""The largest FRMPayload of the next frame; unknown parameters of a device's radio count as the smallest size.

A network server such as ChirpStack discards an item that is larger than the *first* window of its frame allows,
measured without FOpts. With MAC commands in FOpts a large item has to wait for the next frame, so some room is reserved
while they are likely. The same holds for uplinks: the device answers such commands in the FOpts of its next frames.
"""

from dataclasses import dataclass

from bindings.lorawan.regions import downlink_sizes, is_known, rx1_data_rates, uplink_sizes

FLOOR = 23  # bytes: the slowest usable data rate of all regions (CN470)
FLOOR_DWELL = 11  # the same, with a dwell time of 400 ms
FOPTS = 15  # bytes that MAC commands may take of a frame (TS001-1.0.4 §4.3.1.6)
SETTLING_UPLINKS = 3  # after a join the server sends its first MAC commands with these


@dataclass(frozen=True, slots=True)
class RadioParameters:
    """The radio parameters on which sizes depend. `region` by its LoRaWAN name: EU868, US915, AS923_2…

    None or an empty value is unknown. `rx1_dr_offsets`: all possible ones.
    """

    region: str = ""
    mac_version: str = ""
    revision: str = ""
    rx1_dr_offsets: frozenset[int] = frozenset()
    rx2_dr: int | None = None
    ping_slot_dr: int | None = None
    first_window: str = "rx1"
    repeater: bool = False
    dwell: bool = False

    @property
    def floor(self) -> int:
        """Return the size that fits any frame of any region."""
        return FLOOR_DWELL if self.dwell else FLOOR


def max_size(plan: RadioParameters, dr: int | None) -> int:
    """Return N, the largest FRMPayload of a frame without FOpts at a downlink data rate."""
    sizes = downlink_sizes(plan.region, plan.mac_version, plan.revision, repeater=plan.repeater, dwell=plan.dwell)
    found = sizes.get(dr) if dr is not None else None
    return min(size for size in sizes.values() if size) if found is None else found


def rx1_size(plan: RadioParameters, uplink_dr: int | None) -> int:
    """Return N of the RX1 window that follows an uplink."""
    rates = rx1_data_rates(plan.region, uplink_dr, dwell=plan.dwell) if uplink_dr is not None else None
    if rates is None:
        return max_size(plan, None)
    offsets = plan.rx1_dr_offsets or frozenset(range(len(rates)))
    return min(max_size(plan, rates[min(offset, len(rates) - 1)]) for offset in offsets)


def max_downlink(plan: RadioParameters, device_class: str, uplink_dr: int | None, *, settling: bool = False) -> int:
    """Return the bytes that certainly fit the next downlink. `uplink_dr` None: no uplink yet."""
    if not is_known(plan.region):
        found = plan.floor
    else:
        found = max_size(plan, plan.rx2_dr) if plan.first_window == "rx2" else rx1_size(plan, uplink_dr)
        if device_class == "C":
            found = min(found, max_size(plan, plan.rx2_dr))
        elif device_class == "B":
            found = min(found, max_size(plan, plan.ping_slot_dr))
    return max(found - FOPTS, 0) if settling else found


def max_uplink(plan: RadioParameters, uplink_dr: int | None, *, settling: bool = False) -> int:
    """Return the bytes that fit the device's next uplink, if it has the last one's data rate (None: no uplink yet)."""
    if not is_known(plan.region):
        found = plan.floor
    else:
        sizes = uplink_sizes(plan.region, plan.mac_version, plan.revision, repeater=plan.repeater, dwell=plan.dwell)
        smallest = min(size for size in sizes.values() if size)
        found = sizes.get(uplink_dr, smallest) if uplink_dr is not None else smallest
    return max(found - FOPTS, 0) if settling else found
