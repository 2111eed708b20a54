"""Named points in the order of receive, commit and act, at which a test can end the process.

Unless the environment variable CRASH_POINT names it, a point costs one call of an empty function.
"""

import os
import signal
from collections.abc import Callable

VARIABLE = "LWM2M_BRIDGE_CRASH_POINT"  # NAME or NAME:COUNT, the COUNTth time it is reached (1 by default)

POINTS = (
    "after receive",  # an event arrived, nothing is committed
    "after commit",  # its changes are on disk, no effect is released
    "before server datagram",  # an ACK, response or request is about to leave for a server
    "after server datagram",
    "before submit",  # a network is about to be called
    "after submit",  # the network answered, its answer is not stored
    "before notification answer",  # an uplink is committed, its network is about to get the acknowledgement
)


def _nothing(_name: str) -> None:
    """Do nothing: no point is set."""


def _armed(name: str, count: int) -> Callable[[str], None]:
    left = count

    def reached(point: str) -> None:
        nonlocal left
        if point == name:
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return reached


def from_environment() -> Callable[[str], None]:
    """Return the function to call at every point: it does nothing, or ends the process at the named point."""
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return _nothing
    name, _, count = wanted.partition(":")
    if name not in POINTS:
        raise ValueError(f"{VARIABLE}: no point {name!r}; there are: {', '.join(POINTS)}")
    return _armed(name, int(count or 1))


reached = from_environment()
