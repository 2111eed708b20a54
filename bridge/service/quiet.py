"""Endpoints that are in memory with nothing to do, until the memory for them is full."""

from collections import OrderedDict
from collections.abc import Iterator

ENDPOINT = 6000  # bytes of an endpoint without messages: its state, its notes, and its place in tables
ROW = 600  # bytes of one message that is remembered; bodies are small


class Quiet:
    """Bounded by bytes, as far as they can be estimated: what was used longest ago goes first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._sizes: OrderedDict[int, int] = OrderedDict()
        self._bytes = 0

    def put(self, endpoint: int, rows: int) -> None:
        """Note that an endpoint that remembers so many messages was used just now, and is quiet."""
        size = ENDPOINT + ROW * rows
        self._bytes += size - self._sizes.pop(endpoint, 0)
        self._sizes[endpoint] = size

    def drop(self, endpoint: int) -> None:
        """Note that an endpoint has something to do, or is not in memory."""
        self._bytes -= self._sizes.pop(endpoint, 0)

    def excess(self) -> Iterator[int]:
        """Yield the endpoints that have to go, the one used longest ago first. They are dropped here.

        The one used last stays, however large it is: it may be in use.
        """
        while self._bytes > self._limit and len(self._sizes) > 1:
            endpoint, size = self._sizes.popitem(last=False)
            self._bytes -= size
            yield endpoint
