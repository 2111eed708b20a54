"""How a caller awaits what the store reports to a function."""

import asyncio
from collections.abc import Callable


def future_and_done(
    loop: asyncio.AbstractEventLoop | None = None,
) -> tuple[asyncio.Future[None], Callable[[BaseException | None], None]]:
    """Return a future, and the function that completes it with None, or with the error that it is called with.

    The function is a `bridge.store.contract.Done`. The function does nothing if the future is done or cancelled.
    `loop`: the loop of the future; None: the one that runs.
    """
    future: asyncio.Future[None] = (loop or asyncio.get_running_loop()).create_future()

    def done(error: BaseException | None) -> None:
        if not future.done():
            future.set_result(None) if error is None else future.set_exception(error)

    return future, done
