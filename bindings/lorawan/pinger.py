"""Checks whether the network server answers; after a start and after an outage, requests missed events."""

import asyncio
import logging

from bindings.contract import Events
from bindings.lorawan.catch_up import CatchUp
from bindings.lorawan.profiles import Profiles
from bindings.lorawan.provider import Provider
from bridge.errors import CallFailed

log = logging.getLogger(__name__)

_PAUSE = 30.0  # seconds between two pings while it answers, and at most while it does not
_FIRST_PAUSE = 1.0  # seconds after the first ping without an answer; doubles


class Pinger:
    """Pings the network server repeatedly."""

    def __init__(self, provider: Provider, catch_up: CatchUp, profiles: Profiles, events: Events) -> None:
        self._provider = provider
        self._catch_up = catch_up
        self._profiles = profiles
        self._events = events

    async def run(self) -> None:
        """Ping until cancelled."""
        caught_up = False
        pause = _FIRST_PAUSE
        while True:
            if await self.ping():
                pause = _PAUSE
                if not caught_up:
                    caught_up = True
                    self._catch_up.all_devices()
                self._profiles.refresh()
            else:
                caught_up = False
                pause = min(pause * 2, _PAUSE) if pause < _PAUSE else _FIRST_PAUSE
            await asyncio.sleep(pause)

    async def ping(self) -> bool:
        """Return whether the network server can be reached, even if it refuses the ping."""
        try:
            await self._provider.ping()
        except CallFailed as error:
            self._events.count("lorawan_api_errors", trouble=error.trouble.value)
            log.warning(
                "the network server does not answer correctly: %s", error, extra={"sample": "network server ping"}
            )
            return self._provider.up is not False
        return True
