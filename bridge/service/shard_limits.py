"""What was learned of devices' limits goes with their shard from node to node."""

import logging
from collections.abc import Collection, Mapping

from bridge.cluster.ledger import ClusterLedger
from bridge.errors import StoreUnavailable
from bridge.service.learned_limits import LearnedLimits

log = logging.getLogger(__name__)


class ShardLimits:
    """`bridge.cluster.contract.ShardFollower`; before the one that takes up and drops the endpoints.

    What another node knows is only a reason to wait: that it cannot be read, or was not written in time, does no more
    than let the network refuse a message once more.
    """

    def __init__(self, limits: LearnedLimits, ledger: ClusterLedger) -> None:
        self._limits = limits
        self._ledger = ledger

    async def taken(self, shard: int, _epoch: int) -> None:
        """Do nothing: `came` is called when the shard's endpoints are known."""

    async def released(self, _shard: int) -> None:
        """Write what was learned since the last time, so that the next holder finds it."""
        await self._limits.keep_last()

    async def came(self, endpoints: Mapping[str, Collection[int]]) -> None:
        """Take over what other nodes know of endpoints, by their networks."""
        try:
            await self._limits.came(endpoints, (await self._ledger.view()).nodes)
        except StoreUnavailable as error:
            extra = {"sample": "limits of other nodes"}
            log.warning("limits that other nodes have learned are not known here: %s", error, extra=extra)
