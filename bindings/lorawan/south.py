"""The south profile of a device: the numbers of OMA LwM2M Transport App. C, and the sizes that its radio allows now."""

import functools

from bindings.contract import SouthProfile
from bindings.lorawan.notes import UNKNOWN_PROFILE, DeviceNote, Profile
from bindings.lorawan.payload_size import SETTLING_UPLINKS, RadioParameters, max_downlink, max_uplink
from bindings.lorawan.settings import Downlinks

DEFAULT_LIFETIME = 2592000  # seconds; OMA LwM2M Transport 1.2.2 §6.8.4, a Register without lt
_NOTHING_KNOWN = DeviceNote()
_KEPT = 1024  # profiles; devices in the same state share one


class SouthProfiles:
    """Makes the profiles of one network instance. Cheap: profiles are cached."""

    def __init__(self, settings: Downlinks) -> None:
        self._settings = settings
        self._made = functools.lru_cache(maxsize=_KEPT)(self._make)

    def of(self, record: DeviceNote | None, profile: Profile = UNKNOWN_PROFILE, *, network_up: bool) -> SouthProfile:
        """Return the profile of a device with this `record` and `profile`."""
        record = record or _NOTHING_KNOWN
        settling = record.joined_at > 0 and record.uplinks < SETTLING_UPLINKS
        shown = record.rx1_dr_offsets, record.rx2_dr
        sizes = record.max_payload, record.fits
        return self._made(profile, record.device_class, record.dr, shown, settling, sizes, network_up)

    def _make(
        self,
        profile: Profile,
        device_class: str,
        dr: int,
        shown: tuple[tuple[int, ...], int],
        settling: bool,
        sizes: tuple[int, int],
        network_up: bool,
    ) -> SouthProfile:
        numbers = self._settings
        plan = self._plan(profile, *shown)
        data_rate = None if dr < 0 else dr
        fits = max_downlink(plan, device_class, data_rate, settling=settling)
        listens = device_class == "C"
        others = [most for most in (*sizes, numbers.max_payload) if most]
        now, soon = min([fits, *others]), min([max_downlink(plan, device_class, data_rate), *others])
        return SouthProfile(
            retransmit_interval=numbers.class_c_retransmit_interval if listens else numbers.retransmit_interval,
            max_retransmit=numbers.max_retransmit,
            retransmit_confirmed=False,
            exchange_span=numbers.exchange_span,
            response_timeout=numbers.class_c_response_timeout if listens else numbers.response_timeout,
            max_attempts=numbers.max_attempts,
            empty_is_poll=True,
            quick=listens,  # A and B answer in minutes
            can_cancel=True,
            can_expire=True,
            max_downlink=now,
            max_downlink_soon=soon if soon > now else None,  # the device has just joined
            max_uplink=max_uplink(plan, data_rate, settling=settling),
            default_lifetime=DEFAULT_LIFETIME,
            network_up=network_up,
            sends_soon=listens,  # its downlinks wait for no uplink
        )

    def _plan(self, profile: Profile, shown_offsets: tuple[int, ...], shown_rx2_dr: int) -> RadioParameters:
        """Return the parameters of sizes; values learned from transmissions override reported ones."""
        numbers = self._settings
        said = [offset for offset in (numbers.rx1_dr_offset, profile.rx1_dr_offset) if offset >= 0][:1]
        offsets = [offset for offset in said if offset in shown_offsets] or shown_offsets or said
        rx2_dr = next((dr for dr in (shown_rx2_dr, numbers.rx2_dr, profile.rx2_dr) if dr >= 0), None)
        return RadioParameters(
            region=profile.region,
            mac_version=profile.mac_version,
            revision=profile.revision,
            rx1_dr_offsets=frozenset(offsets),
            rx2_dr=rx2_dr,
            ping_slot_dr=None if profile.ping_slot_dr < 0 else profile.ping_slot_dr,
            first_window=numbers.rx_window,
            repeater=numbers.repeater_compatible,
            dwell=numbers.dwell_time_400ms,
        )
