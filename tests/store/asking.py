"""Questions to a store, as awaitables."""

import asyncio

from bridge.directory.keys import ById


async def load(store, key, now=0.0):
    """Return what the store finds under a key."""
    loaded = asyncio.get_running_loop().create_future()
    store.load(
        key, now, lambda found, error: loaded.set_result(found) if error is None else loaded.set_exception(error)
    )
    return await loaded


async def rows(store, endpoint, now=0.0):
    """Return the rows of an endpoint of the directory."""
    found = await load(store, ById(endpoint), now)
    assert found is not None, f"there is no endpoint {endpoint}"
    return found.kept
