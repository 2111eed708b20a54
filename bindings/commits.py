"""Results of handlers of incoming messages: awaitables, after which the network may be answered."""

import asyncio
from collections.abc import Awaitable, Callable, Generator


class _Nothing:
    """An awaitable that is complete from the beginning, and can be awaited repeatedly."""

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


NOTHING_TO_COMMIT: Awaitable[None] = _Nothing()
"""For a message that changes nothing: the network may be answered immediately."""


class Commit(asyncio.Future[None]):
    """Completes when an event is committed, or with the error that kept it from that.

    Whoever awaits it, or adds a callback, goes on one turn of the event loop later. A network's request is answered by
    `then` instead, which is called when the commit is known: with the whole group of commits that it was in.
    """

    then: Callable[["Commit"], None] | None = None  # may be set until it is done

    def complete(self, error: BaseException | None) -> None:
        """Complete with None, or with an error, and call `then`; do nothing if it is done or cancelled."""
        if self.done():
            return
        self.set_result(None) if error is None else self.set_exception(error)
        if self.then is not None:
            try:
                self.then(self)
            except Exception as failure:  # noqa: BLE001  # as the event loop does: others wait for the same group
                self.get_loop().call_exception_handler(
                    {"message": "work after a commit failed", "exception": failure, "future": self}
                )
