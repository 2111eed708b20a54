"""How SCEFs and NEFs depart from TS 29.122, as data: a profile for each known kind.

Answers and notifications are always read tolerantly; a profile only says what the bridge does differently.
"""

from dataclasses import dataclass, fields, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Quirks:
    """The departures of one SCEF or NEF. The defaults are the standard's, Release 17."""

    bare_answers: bool = False  # errors have no body
    gateway_refusals: tuple[int, ...] = ()  # statuses that a gateway answers itself, without forwarding the request
    patches_destination: bool = True  # notificationDestination can be changed (Release 17)
    keeps_downlinks: bool = True  # a downlink for a sleeping device is buffered
    lists_late: bool = False  # others create configurations for these devices: check before each creation
    small_packets: bool = False  # packet sizes below the 128 octets of TS 23.501 §5.6.10.4 are valid


PROFILES: dict[str, Quirks] = {
    "strict-r17": Quirks(),
    "strict-r15": Quirks(patches_destination=False),
    "relative-links": Quirks(patches_destination=False),
    "both-ids": Quirks(),
    "small-apn": Quirks(small_packets=True),
    "no-buffer": Quirks(keeps_downlinks=False),
    "conflict": Quirks(lists_late=True),
    "lossy": Quirks(lists_late=True),
}
"""Profiles by the names in the configuration; the emulated SCEF has the same ones."""


def quirks(profile: str, **own: Any) -> Quirks:
    """Return the quirks of a profile, with the operator's settings applied; None keeps the profile's."""
    names = {field.name for field in fields(Quirks)}
    said = {name: value for name, value in own.items() if name in names and value is not None}
    return replace(PROFILES[profile], **said)
