"""Results of handlers of incoming messages: awaitables, after which the network may be answered."""

from collections.abc import Awaitable, Generator


class _Nothing:
    """An awaitable that is complete from the beginning, and can be awaited repeatedly."""

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


NOTHING_TO_COMMIT: Awaitable[None] = _Nothing()
"""For a message that changes nothing: the network may be answered immediately."""
