"""The notification URL of an attempt: each attempt has its own URL, which identifies it.

A delivery report names only its transaction, and may come before the answer with this name. So the URL
contains device, downlink and number of the attempt, between the listener's public URL and its secret last part.
"""

import base64
import binascii
import re
from typing import NamedTuple, Self

from bindings.contract import Submission

_REFERENCE = re.compile(r"([A-Za-z0-9_-]+)\.([0-9]{1,19})\.([0-9]{1,9})")


class Reference(NamedTuple):
    """The attempt of a transaction."""

    device: str
    downlink: int
    number: int

    @classmethod
    def of(cls, attempt: Submission) -> Self:
        return cls(attempt.device, attempt.downlink, attempt.number)


def destination(url: str, reference: Reference) -> str:
    """Return the notificationDestination of an attempt; `url` is the listener's."""
    base, _, secret = url.rpartition("/")
    name = base64.urlsafe_b64encode(reference.device.encode()).decode().rstrip("=")
    return f"{base}/{name}.{reference.downlink}.{reference.number}/{secret}"


def read_destination(link: str) -> Reference | None:
    """Return the attempt of a destination, given as a URL or its path; None: there is none."""
    segments = link.partition("?")[0].rstrip("/").split("/")
    return read_reference(segments[-2]) if len(segments) > 1 else None


def read_reference(text: str) -> Reference | None:
    """Return the attempt that the last part but one of a destination names; None: it names none."""
    found = _REFERENCE.fullmatch(text)
    if found is None:
        return None
    name, downlink, number = found.groups()
    try:
        device = base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return Reference(device, int(downlink), int(number))
