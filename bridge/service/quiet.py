"""Idle endpoints in memory, kept until the memory for them is full."""

from collections import OrderedDict
from collections.abc import Iterator

ENDPOINT = 6000  # bytes of an endpoint without messages: its state, its notes, and its entries in tables
ROW = 600  # bytes of one message that is remembered; bodies are small


class QuietEndpoints:
    """Bounded by estimated bytes: the endpoint used longest ago is dropped first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._sizes: OrderedDict[int, int] = OrderedDict()
        self._bytes = 0

    def put(self, endpoint: int, rows: int) -> bool:
        """Record that an endpoint with this number of remembered messages was used just now, and is idle.

        Return whether there is any `excess`.
        """
        size = ENDPOINT + ROW * rows
        self._bytes += size - self._sizes.pop(endpoint, 0)
        self._sizes[endpoint] = size
        return self._bytes > self._limit

    def drop(self, endpoint: int) -> None:
        """Record that an endpoint has something to do, or is not in memory."""
        self._bytes -= self._sizes.pop(endpoint, 0)

    def excess(self) -> Iterator[int]:
        """Yield the endpoints to unload, the one used longest ago first; they are removed from this list.

        The endpoint used last stays, however large it is: it may be in use.
        """
        while self._bytes > self._limit and len(self._sizes) > 1:
            endpoint, size = self._sizes.popitem(last=False)
            self._bytes -= size
            yield endpoint
