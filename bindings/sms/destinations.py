"""The notification URL of an attempt: each attempt has its own URL, which identifies it.

A delivery report names only its transaction, and may come before the answer with this name. So the URL
contains device, downlink and number of the attempt, between the listener's public URL and its secret last part.
"""

import base64
import binascii
import re
from typing import NamedTuple, Self

from bindings.contract import Submission

_KEPT = 4096  # attempts whose transactions are remembered
_REFERENCE = re.compile(r"([A-Za-z0-9_-]+)\.([0-9]{1,19})\.([0-9]{1,9})")


class Reference(NamedTuple):
    """The attempt of a transaction."""

    device: str
    downlink: int
    number: int

    @classmethod
    def of(cls, attempt: Submission) -> Self:
        return cls(attempt.device, attempt.downlink, attempt.number)


class NamedAttempts:
    """The transactions of attempts whose reports came: the answer to a submit may be lost, and its report not.

    Reports come to the URL of their attempt, so they prove that the network has accepted it. Nothing outlives the
    process.
    """

    def __init__(self) -> None:
        self._handles: dict[Reference, str] = {}

    def add(self, reference: Reference, handle: str) -> None:
        """Remember the transaction of an attempt; the one that was reported longest ago is forgotten."""
        self._handles.pop(reference, None)
        self._handles[reference] = handle
        if len(self._handles) > _KEPT:
            del self._handles[next(iter(self._handles))]

    def get(self, reference: Reference) -> str | None:
        """Return the transaction of an attempt; None if no report of it came."""
        return self._handles.get(reference)


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
