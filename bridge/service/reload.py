"""Reads the configuration again while the service runs. A file that cannot be used changes nothing."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace

from bindings.contract import Binding
from bridge.config import Config, EndpointSettings, checked
from bridge.config.difference import Applies, Difference, differences, in_force
from bridge.errors import BridgeError, ConfigurationError, NotRunning, StoreUnavailable

log = logging.getLogger(__name__)

Apply = Callable[[Config], Awaitable[None] | None]
"""Puts a part of a configuration into force; harmless where it is in force already. Raises a BridgeError before it
has changed anything."""

Move = Callable[[Config], AbstractAsyncContextManager[None]]
"""Moves a listener to where a configuration has it: opens the new address at the beginning of the block, and closes the
former one at its end. Where the block raises, it listens as before. Raises a BridgeError if it cannot be moved."""

Allow = Callable[[Config], Awaitable[None]]
"""Raises a BridgeError if `change` would refuse a configuration for what other nodes of a cluster have."""

Change = Callable[[Config, Config, Mapping[str, Binding]], Awaitable[tuple[Config, Sequence[BridgeError]]]]
"""`change(before, after, made)` brings networks, servers and policies into force; `made` are instances of all networks.

Returns the configuration that is in force then, and why that is not all of `after`. Raises a BridgeError before it has
changed anything."""


async def change_nothing(
    _before: Config, after: Config, _made: Mapping[str, Binding]
) -> tuple[Config, Sequence[BridgeError]]:
    """Do without networks and servers that change: a `Change`."""
    return after, ()


class Reloader:
    """Has the configuration in force. One reload at a time; each is compared with the result of the one before."""

    def __init__(
        self,
        read: Callable[[], Config],
        config: Config,
        apply: Sequence[Apply],
        count: Callable[..., None],
        *,
        listen: Sequence[Move] = (),
        change: Change = change_nothing,
    ) -> None:
        """`read` reads the file, with its secrets, in a thread. What is called: `listen`, `change`, `apply`, in order.

        `listen` moves listeners: a port that cannot be had changes nothing, and the former addresses are closed only
        when `change` has done its work.
        """
        self._read = read
        self._config = config
        self._apply = apply
        self._listen = listen
        self._change = change
        self._count = count
        self._lock = asyncio.Lock()
        self._closed = False

    async def reload(self, *, dry_run: bool = False, allow: Allow | None = None) -> list[Difference]:
        """Put into force what needs no restart, and return all differences from the former configuration.

        With `dry_run` nothing is changed, and `allow` is asked in place of `change`.

        Raises ConfigurationError for a file that cannot be used: then nothing has changed. Raises ConfigurationError
        also if only a part of the file came into force, or StoreUnavailable if the store alone is the reason: then the
        text says why, and that all else is in force.
        """
        found, failures = await self._reload(dry_run=dry_run, allow=allow)
        if failures:
            is_of_store = all(isinstance(one, StoreUnavailable) for one in failures)
            raise (StoreUnavailable if is_of_store else ConfigurationError)(_in_part(failures))
        return found

    async def _reload(
        self, *, dry_run: bool = False, allow: Allow | None = None
    ) -> tuple[list[Difference], list[BridgeError]]:
        """Return the differences, and why not all of them are in force. Raises a BridgeError if nothing has changed."""
        async with self._lock:
            if self._closed:
                raise NotRunning("the service is stopping; the next start reads the file")
            after = await asyncio.to_thread(self._read)
            made = checked(after)
            found = differences(self._config, after)
            in_file = after.endpoints  # of `in_force` some may be on a network that is gone
            former = self._config.endpoints
            after = in_force(self._config, after)
            if dry_run:
                if allow is not None:
                    await allow(after)
                return found, []
            async with AsyncExitStack() as moving:
                for one in self._listen:
                    await moving.enter_async_context(one(after))
                reached, unchanged = await self._change(self._config, after, made)
            self._config = replace(reached, endpoints=former)
            failures = [*unchanged, *await self._apply_all(replace(reached, endpoints=_on(reached, in_file)))]
            if len(failures) == len(unchanged):
                added = reached.endpoints[len(former) :]
                self._config = replace(reached, endpoints=former + _on(reached, added))
            return found, failures

    async def _apply_all(self, config: Config) -> list[BridgeError]:
        failures: list[BridgeError] = []
        for one in self._apply:
            try:
                done = one(config)
                if done is not None:
                    await done
            except BridgeError as error:
                failures.append(error)
        return failures

    async def close(self) -> None:
        """Wait for a reload that is under way, and begin no other."""
        async with self._lock:
            self._closed = True

    async def reload_and_log(self) -> None:
        """Do what `reload` does, for a caller that reads only the log."""
        try:
            found, failures = await self._reload()
        except BridgeError as error:
            self._count("reload_failures")
            log.error("the configuration is not reloaded, the former one stays in force: %s", error)  # noqa: TRY400  # the text says it all
            return
        except Exception:
            self._count("reload_failures")
            self._count("failed_tasks")
            log.exception("the reload of the configuration failed because of a bug in the bridge")
            return
        if failures:
            self._count("reload_failures")
            log.error("the configuration is reloaded in part: %s", _in_part(failures))
            return
        for one in found:
            if one.applies is Applies.NOW:
                log.info("setting changed", extra={"setting": one.setting, "before": one.before, "after": one.after})
            else:
                log.warning("setting not in force yet", extra={"setting": one.setting, "applies": one.applies})
        log.info("configuration reloaded", extra={"differences": len(found)})


def _in_part(failures: Sequence[BridgeError]) -> str:
    return f"{'; '.join(map(str, failures))}, and all else of the file is in force"


def _on(config: Config, endpoints: tuple[EndpointSettings, ...]) -> tuple[EndpointSettings, ...]:
    """Return the endpoints on networks of a configuration: one on a network that failed cannot be added yet."""
    return tuple(one for one in endpoints if one.network in config.networks)
