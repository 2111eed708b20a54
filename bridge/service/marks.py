"""A set of endpoint ids, in one bit each."""


class Marks:
    """A set of ids. Ids are consecutive, so that a million take 125 kB; a Python set would take 60 MB."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def __contains__(self, id_: int) -> bool:
        return id_ >> 3 < len(self._bits) and bool(self._bits[id_ >> 3] >> (id_ & 7) & 1)

    def add(self, id_: int) -> None:
        """Mark an id, which is not negative."""
        missing = (id_ >> 3) + 1 - len(self._bits)
        if missing > 0:
            self._bits.extend(bytes(missing))
        self._bits[id_ >> 3] |= 1 << (id_ & 7)

    def discard(self, id_: int) -> None:
        """Remove a mark, if there is one."""
        if id_ in self:
            self._bits[id_ >> 3] &= ~(1 << (id_ & 7))
