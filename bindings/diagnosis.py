"""Findings of a check of a network instance: `lwm2m-bridge doctor` prints them."""

import os
import re
import socket
from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How much a finding matters."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"
    UNCHECKED = "unchecked"  # nothing of this network could be checked: its state is unknown


@dataclass(frozen=True, slots=True)
class Finding:
    """One check, its result, and the cure (empty if nothing is wrong)."""

    what: str
    grade: Grade
    detail: str
    cure: str = ""


def unreached(what: str, url: str, error: Exception, cure: str) -> Finding:
    """Return a finding that the bridge's own URL cannot be reached, and why. Its secret last part is not shown."""
    shown = re.sub(r"//[^/@]*@", "//", url.rpartition("/")[0]) + "/…"
    return Finding(what, Grade.WARNING, f"{shown} cannot be reached from this machine: {reason(error)}", cure)


def reason(error: Exception) -> str:
    """Return in words why a connection or request failed."""
    cause = getattr(error, "os_error", error)  # aiohttp wraps the system's error
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, socket.gaierror):
        return "no such host"
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused"
    if isinstance(cause, OSError) and cause.errno:
        return os.strerror(cause.errno).lower()
    if isinstance(cause, ValueError):
        return "it is not a URL"
    return str(cause) or "the connection was closed without an answer"
