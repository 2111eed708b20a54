"""Posts of networks for devices that this bridge does not serve, or not yet: they are kept in the inbox as they came.

A bridge that stands by keeps every post. A node of a cluster keeps those whose device belongs to a shard that it does
not serve.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from bindings.contract import Binding, PassOn, Post, ReceivesPosts
from bridge.errors import BridgeError
from bridge.service.actor import CountFunction
from bridge.store.inbox import NO_SHARD, Ingress

log = logging.getLogger(__name__)


class Receiving:
    """Keeps authentic posts in the inbox as they came.

    `note` reads a note of a network instance by its key. `count` increments the counters that an operator sees.
    """

    def __init__(
        self,
        networks: Mapping[str, Binding],
        inbox: Ingress,
        note: Callable[[str, str], Awaitable[bytes | None]],
        count: CountFunction,
    ) -> None:
        self._networks = networks
        self._inbox = inbox
        self._note = note
        self._count = count
        self._listening: dict[str, ReceivesPosts] = {}
        self._under_way: set[asyncio.Future[None]] = set()
        self._said: dict[str, str] = {}  # why a network's listener is not open
        self.keeps = False  # whether any post is still kept, instead of taken by the instance

    async def open(self) -> None:
        """Open the listeners that can be opened and are not open yet. Harmless when called again."""
        for name, binding in self._networks.items():
            if name in self._listening or not isinstance(binding, ReceivesPosts) or binding.posts is None:
                continue
            binding.posts.keep = partial(self._keep, name)
            why = "its callback URL is not known before a bridge has served the ledger"
            try:
                is_open = await binding.receive(partial(self._note, name))
            except BridgeError as error:
                is_open, why = False, str(error)
            if is_open:
                self._listening[name] = binding
                self.keeps = True
                log.info("network %s: posts are received, and kept for the bridge that serves the ledger", name)
            else:
                binding.posts.keep = None
                if self._said.get(name) != why:
                    log.info("network %s: posts are not received yet: %s", name, why)
                self._said[name] = why

    def pass_on(self, network: str, binding: Binding) -> None:
        """Keep the posts that a network instance of a node receives for other nodes; call it for each new instance."""
        if isinstance(binding, ReceivesPosts) and binding.posts is not None:
            binding.posts.pass_on = self.keeper(network)

    def keeper(self, network: str) -> PassOn:
        """Return what keeps posts for the nodes that serve their devices, as posts of this network."""
        return partial(self._keep, network)

    def keep_again(self) -> None:
        """Keep every post from now on: this bridge is about to stop, and the next one takes them."""
        for name, binding in self._listening.items():
            if binding.posts is not None:
                binding.posts.keep = partial(self._keep, name)

    def pause(self) -> None:
        """Let posts wait until `proceed`."""
        for binding in self._listening.values():
            if binding.posts is not None:
                binding.posts.pause()

    def proceed(self, *, directly: bool) -> None:
        """Have posts received again: `directly` by the instances themselves, else they are kept on."""
        for binding in self._listening.values():
            if binding.posts is not None:
                if directly:
                    binding.posts.keep = None
                binding.posts.proceed()
        self.keeps = self.keeps and not directly

    async def settled(self) -> None:
        """Return when no post is on its way into the inbox."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def close(self) -> None:
        """Close the listeners of instances that were never started, and the inbox."""
        for binding in self._listening.values():
            if binding.posts is not None:
                await binding.posts.stop()
        await self._inbox.close()

    def _keep(self, network: str, post: Post, shard: int = NO_SHARD) -> asyncio.Future[None]:
        kept = self._inbox.keep(network, post, shard)
        self._under_way.add(kept)
        kept.add_done_callback(partial(self._ended, network))
        return kept

    def _ended(self, network: str, kept: asyncio.Future[None]) -> None:
        self._under_way.discard(kept)
        result = "kept" if not kept.cancelled() and kept.exception() is None else "refused"
        self._count("posts_for_others", network=network, result=result)
