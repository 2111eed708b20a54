"""Moves the addresses of a shard to this node, by commands of the operator's, when the shard is taken or released."""

import asyncio
import logging
from collections.abc import Collection, Sequence

from bridge.config import Config
from bridge.errors import ConfigurationError
from bridge.metrics import Metrics
from bridge.north.udp.prefixes import SHARDS, Pool, pools
from bridge.service.actor import CountFunction
from bridge.service.standing_by import run_command

TIMEOUT = 4.0  # seconds for one command: two attempts stay within the time that a follower has
FOR_ALL = 60.0  # seconds for the one at the start, which is about all shards
AT_STOP = 15.0  # seconds for the one at a stop, which is about all shards that are still held
AGAIN = 5.0  # seconds between attempts to release addresses that could not be released

log = logging.getLogger(__name__)


class ShardAddresses:
    """`bridge.cluster.contract.ShardFollower`; the last one, so that servers reach a shard when it can be served.

    A command gets the shard's part of each prefix as further arguments. One that fails, or takes longer than `TIMEOUT`,
    makes `taken` fail: the shard is given back. Addresses that cannot be released are tried again by `run`.
    """

    def __init__(
        self, pools: Sequence[Pool], take: Sequence[str], release: Sequence[str], count: CountFunction
    ) -> None:
        """`take` and `release`: program and arguments; empty for none."""
        self._pools = pools
        self._take = take
        self._release = release
        self._count = count
        self.stuck: set[int] = set()  # released shards whose addresses are here still, as far as is known

    def prefixes(self, shard: int) -> list[str]:
        """Return a shard's part of each prefix."""
        return [str(network) for pool in self._pools for network in pool.networks(shard)]

    async def taken(self, shard: int, _epoch: int) -> None:
        """Move the addresses to this node. Raises ConfigurationError if the command fails."""
        self.stuck.discard(shard)
        await self._run("take_command", self._take, self.prefixes(shard))

    async def released(self, shard: int) -> None:
        """Release the addresses, in at most two attempts."""
        self.stuck.add(shard)
        for _ in range(2):
            if await self._release_once(shard):
                return

    async def release_all(self) -> None:
        """Release what an earlier process of this node may have left: it may have been killed."""
        everything = [prefix for shard in range(SHARDS) for prefix in self.prefixes(shard)]
        try:
            await self._run("release_command", self._release, everything, FOR_ALL)
        except ConfigurationError as error:
            log.warning("addresses of an earlier run may still lead to this node: %s", error)

    async def release_rest(self, shards: Collection[int]) -> None:
        """Release the addresses of shards, and those that are stuck, by one command: the process ends.

        A failure is logged.
        """
        rest = [prefix for shard in sorted({*shards, *self.stuck}) for prefix in self.prefixes(shard)]
        if not rest:
            return
        try:
            await self._run("release_command", self._release, rest, AT_STOP)
        except ConfigurationError as error:
            log.error("addresses still lead to this node, which stops: %s", error)  # noqa: TRY400  # the text says it
        else:
            self.stuck.clear()

    async def run(self) -> None:
        """Try again to release what could not be released, until cancelled."""
        while True:
            await asyncio.sleep(AGAIN)
            for shard in sorted(self.stuck):
                await self._release_once(shard)

    async def _release_once(self, shard: int) -> bool:
        if shard not in self.stuck:  # it was taken again
            return True
        try:
            await self._run("release_command", self._release, self.prefixes(shard))
        except ConfigurationError as error:
            text = "shard %d: its addresses may still lead to this node: %s"
            log.error(text, shard, error, extra={"sample": "addresses stuck"})  # noqa: TRY400  # the text says it
            return False
        self.stuck.discard(shard)
        return True

    async def _run(self, name: str, command: Sequence[str], prefixes: list[str], seconds: float | None = None) -> None:
        if not command:
            return
        try:
            await run_command(name, [*command, *prefixes], section="[cluster]", timeout=seconds or TIMEOUT)
        except ConfigurationError:
            self._count("address_commands", command=name, result="failed")
            raise
        self._count("address_commands", command=name, result="done")


def shard_addresses(config: Config, metrics: Metrics) -> ShardAddresses:
    """Return what moves the addresses of shards; it does nothing where no command is configured."""
    settings = config.cluster
    prefixes = [*pools(config.north.prefixes).values()]
    addresses = ShardAddresses(prefixes, settings.take_command, settings.release_command, metrics.count)
    metrics.describe("cluster_addresses_stuck", "Shards whose addresses could not be released yet.")
    metrics.watch("cluster_addresses_stuck", lambda: float(len(addresses.stuck)))
    return addresses
