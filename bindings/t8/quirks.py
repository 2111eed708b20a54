"""How SCEFs and NEFs depart from TS 29.122, as data: a profile for each kind that is known from the field.

Answers and notifications are read tolerantly everywhere; a profile says only what the bridge does in another way.
"""

from dataclasses import dataclass, fields, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Quirks:
    """What is so at one SCEF or NEF. The defaults are the standard's, Release 17."""

    bare_answers: bool = False  # errors have no body
    gateway_refusals: tuple[int, ...] = ()  # statuses that a gateway answers by itself, before it forwards anything
    patches_destination: bool = True  # notificationDestination can be changed (Release 17)
    keeps_downlinks: bool = True  # a downlink for a sleeping device is kept
    lists_late: bool = False  # others make configurations for our devices: look before each is made
    small_packets: bool = False  # packets below the 128 octets of TS 23.501 §5.6.10.4 are meant


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
"""By the name that the configuration uses; the emulated SCEF has the same ones."""


def quirks(profile: str, **own: Any) -> Quirks:
    """Return the quirks of a profile, with those set that the operator says; None: as the profile has it."""
    names = {field.name for field in fields(Quirks)}
    said = {name: value for name, value in own.items() if name in names and value is not None}
    return replace(PROFILES[profile], **said)
