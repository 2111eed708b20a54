"""The clock by which a lease is watched: never set, and it goes on while the machine is suspended."""

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""The database's clock goes on while the machine of a node is suspended; CLOCK_MONOTONIC of Linux does not."""


def lease_clock() -> float:
    """Return seconds of this clock."""
    return time.clock_gettime(_CLOCK)
