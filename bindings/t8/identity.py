"""Device addresses of 3GPP: External Identifier (`local@domain`) and MSISDN (digits), TS 23.003 §19.7.2 and §3.3."""

import re
from typing import Literal

from bridge.errors import ConfigurationError

IdentityMember = Literal["externalId", "msisdn"]

_MSISDN = re.compile(r"[0-9]{5,15}")  # ITU-T E.164: 15 digits at most; TS 29.122 wants at least 5
# A user name of RFC 7542 may hold nearly anything, such as `meter/1`; a realm is a domain name.
_EXTERNAL_ID = re.compile(r"[^@\s\x00-\x1f\x7f]+@[^@\s/\x00-\x1f\x7f]+")


def canonical_device(device: str) -> str:
    """Return the canonical form of a device address: a domain in lower case, an MSISDN without `+`.

    Raises ConfigurationError if it is neither.
    """
    device = device.strip()
    if _EXTERNAL_ID.fullmatch(device):
        local, _, domain = device.partition("@")
        return f"{local}@{domain.lower()}"
    digits = device.removeprefix("+")
    if _MSISDN.fullmatch(digits):
        return digits
    raise ConfigurationError(
        f"{device[:80]!r} is not a 3GPP device address: write an External Identifier as local@domain "
        "or an MSISDN as 5 to 15 digits"
    )


def identity_member(device: str) -> IdentityMember:
    """Return which member of a T8 body carries this canonical device address."""
    return "externalId" if "@" in device else "msisdn"


def same_identity(device: str, external_id: str | None, msisdn: str | None) -> bool | None:
    """Compare a canonical device address with what a body says; None: the body has no identity of this kind.

    Some SCEFs send both members; the one of the same kind decides.
    """
    said = external_id if "@" in device else msisdn
    if said is None:
        return None
    if said == device:
        return True
    try:
        return canonical_device(said) == device
    except ConfigurationError:
        return False
