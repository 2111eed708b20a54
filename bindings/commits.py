"""What the handlers of incoming messages give: something to await, after which the network may be answered."""

from collections.abc import Awaitable, Generator


class _Nothing:
    """Over before it is awaited, as often as one likes."""

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


NOTHING_TO_COMMIT: Awaitable[None] = _Nothing()
"""For a message that changes nothing: answer it at once."""
