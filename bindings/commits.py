"""Results of handlers of incoming messages: awaitables, after which the network may be answered."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

T = TypeVar("T")


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

    then: Callable[[Any], None] | None = None  # is called with this commit; may be set until it is done

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


def when_done(work: asyncio.Future[T], then: Callable[[asyncio.Future[T]], None]) -> None:
    """Call `then` with `work` once that is done: when a commit is known, else one turn of the event loop later.

    Of a commit that is not done yet, nobody else may have set `Commit.then`.
    """
    if isinstance(work, Commit) and not work.done():
        work.then = then
    else:
        work.add_done_callback(then)
