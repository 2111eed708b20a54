"""Reports the state of the service to systemd, if systemd started it: sd_notify(3), unit with `Type=notify`."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

EVERY = 2.0  # seconds between two messages while nothing changes
EXTEND = 30  # seconds that systemd allows a start after each message; a start that hangs is ended


class Systemd:
    """The socket that systemd listens on. Without one every method does nothing; none raises."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._watchdog = _seconds(environment.get("WATCHDOG_USEC", "")) if _is_watched(environment) else None
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]  # a name in the abstract namespace (unix(7))

    def tell(self, *assignments: str) -> None:
        """Send assignments such as READY=1."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.sendto("\n".join(assignments).encode(), self._address)
        except OSError as error:
            log.warning("systemd cannot be notified: %s", error, extra={"sample": "systemd"})

    def ready(self) -> None:
        self.tell("READY=1")

    def stopping(self) -> None:
        self.tell("STOPPING=1", "STATUS=stopping")

    async def follow(self, status: Callable[[], str], *, is_ready: Callable[[], bool]) -> None:
        """Report repeatedly, until cancelled: status text, watchdog, more time for a long start.

        If the event loop is blocked, so is this task: then systemd's watchdog restarts the service.
        """
        if not self._address:
            return
        every = EVERY if self._watchdog is None else min(EVERY, self._watchdog / 2)
        while True:
            message = [f"STATUS={status()}"]
            if not is_ready():
                message.append(f"EXTEND_TIMEOUT_USEC={EXTEND * 1_000_000}")
            if self._watchdog is not None:
                message.append("WATCHDOG=1")
            self.tell(*message)
            await asyncio.sleep(every)


def _is_watched(environment: Mapping[str, str]) -> bool:
    """Return whether the watchdog is for this process, not for the one that started it."""
    return environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())


def _seconds(microseconds: str) -> float | None:
    return int(microseconds) / 1_000_000 if microseconds.isdecimal() and int(microseconds) > 0 else None
