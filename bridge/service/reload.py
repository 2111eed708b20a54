"""Reads the configuration again while the service runs. A file that cannot be used changes nothing."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from bridge.config import Config, checked
from bridge.config.difference import Applies, Difference, differences, in_force
from bridge.errors import BridgeError

log = logging.getLogger(__name__)

Apply = Callable[[Config], Awaitable[None] | None]
"""Puts a part of a configuration into force. Raises ConfigurationError before it has changed anything."""


class Reloader:
    """Has the configuration in force. One reload at a time; each is compared with the result of the one before."""

    def __init__(
        self, read: Callable[[], Config], config: Config, apply: Sequence[Apply], count: Callable[..., None]
    ) -> None:
        """`read` reads the file, with its secrets, in a thread. `apply` is called in order."""
        self._read = read
        self._config = config
        self._apply = apply
        self._count = count
        self._lock = asyncio.Lock()

    async def reload(self, *, dry_run: bool = False) -> list[Difference]:
        """Put into force what needs no restart, and return all differences from the former configuration.

        Raises ConfigurationError for a file that cannot be used, StoreUnavailable: then the former configuration stays
        in force.
        """
        async with self._lock:
            after = await asyncio.to_thread(self._read)
            checked(after)
            found = differences(self._config, after)
            if dry_run:
                return found
            for apply in self._apply:
                done = apply(after)
                if done is not None:
                    await done
            self._config = in_force(self._config, after)
            return found

    async def reload_and_log(self) -> None:
        """Do what `reload` does, for a caller that reads only the log."""
        try:
            found = await self.reload()
        except BridgeError as error:
            self._count("reload_failures")
            log.error("the configuration is not reloaded, the former one stays in force: %s", error)  # noqa: TRY400  # the text says it all
            return
        for one in found:
            if one.applies is Applies.NOW:
                log.info("setting changed", extra={"setting": one.setting, "before": one.before, "after": one.after})
            else:
                log.warning("setting not in force yet", extra={"setting": one.setting, "applies": one.applies})
        log.info("configuration reloaded", extra={"differences": len(found)})
