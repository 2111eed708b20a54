"""Posts of networks in the inbox, sealed while they wait: they carry what devices say."""

from asyncio import Future

from msgspec.structs import replace

from bindings.contract import Post
from bridge.store.inbox import NO_SHARD, InboxRow, Ingress
from bridge.store.sealing.seal import Seal

_MARK = "(sealed) "
"""Begins the network of a sealed post, and of nothing else, whatever a post in the clear has for a body. A bridge of a
release that knows no sealed posts leaves it in the inbox: it has no such network."""


class SealedIngress:
    """`bridge.store.inbox.Ingress` over that of a store. A body is bound to its network, path and query."""

    def __init__(self, ingress: Ingress, seal: Seal) -> None:
        self._ingress = ingress
        self._seal = seal

    def keep(self, network: str, post: Post, shard: int = NO_SHARD) -> Future[None]:
        """Commit a post, sealed."""
        if self._seal.seals:
            post = replace(post, body=self._seal.seal(post.body, _context(network, post)))
            network = _MARK + network
        return self._ingress.keep(network, post, shard)

    async def note(self, network: str, key: str) -> bytes | None:
        """Return a binding's note as it is stored."""
        return await self._ingress.note(network, key)

    async def close(self) -> None:
        """Finish all commits, and close."""
        await self._ingress.close()


def network_of(row: InboxRow) -> str:
    """Return the network of a row's post, sealed or not."""
    return row.network.removeprefix(_MARK)


def opened_post(row: InboxRow, seal: Seal) -> Post:
    """Return the post of a row as it came. Raises ConfigurationError if it is sealed and no key opens it."""
    post = row.post
    if not row.network.startswith(_MARK):
        return post
    return replace(post, body=seal.open(post.body, _context(network_of(row), post)))


def _context(network: str, post: Post) -> str:
    return f"post of a network:{network}:{post.sub_path}:{post.query}"
