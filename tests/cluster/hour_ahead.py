"""A bridge on a machine whose wall clock is an hour ahead."""

import time

from bridge.cli import main
from bridge.service.clock import RealClock

HOUR = 3600.0


def _ahead() -> float:
    return time.time() + HOUR


RealClock.wall = staticmethod(_ahead)  # type: ignore[assignment]

if __name__ == "__main__":
    main(prog_name="lwm2m-bridge")
