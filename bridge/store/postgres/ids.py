"""Ids that one of several nodes gives to messages: out of blocks that it reserves in the ledger."""

from collections import deque

from bridge.errors import StoreUnavailable

BLOCK = 10_000  # ids reserved at a time: more than are used while the database answers
AGE = 30.0  # seconds after which the rest of a block is left, so that the ids of an idle node rise, too


class NodeIds:
    """Ids that rise. `since` and `now` are seconds of one clock."""

    def __init__(self, first: int, now: float) -> None:
        """Begin with the block that starts at `first`."""
        self._next = first
        self._end = first + BLOCK
        self._further: deque[int] = deque()  # the beginnings of further blocks
        self._since = now

    @property
    def next(self) -> int:
        """Return the next id: no smaller one is given any more."""
        return self._next

    def give(self) -> int:
        """Return an id. Raises StoreUnavailable if all are used, and the ledger has not given any new ones."""
        if self._next == self._end:
            if not self._further:
                raise StoreUnavailable("there are no ids for new messages: the ledger has not answered for a while")
            self._next = self._further.popleft()
            self._end = self._next + BLOCK
        self._next += 1
        return self._next - 1

    def needs_more(self, now: float) -> bool:
        """Return whether a further block should be reserved."""
        left = self._end - self._next + BLOCK * len(self._further)
        return left < BLOCK // 2 or now - self._since > AGE

    def add(self, first: int, now: float) -> None:
        """Add a block, unless larger ids are given already. What is left of an old one is not used."""
        if now - self._since > AGE:
            self.restart(first, now)
        elif first > max(self._next, *self._further, 0):
            self._further.append(first)

    def restart(self, first: int, now: float) -> None:
        """Continue with a block, unless larger ids are given already."""
        if first < self._next:
            return
        self._further.clear()
        self._next = first
        self._end = first + BLOCK
        self._since = now
