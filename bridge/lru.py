"""A bounded cache."""

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Lru(Generic[K, V]):
    """Keeps at most `limit` entries, and at least the last `limit` / 2 that were used.

    Two generations, so that a hit costs one lookup: a used entry moves to the younger one, and when that is full the
    older one is dropped.
    """

    __slots__ = ("_half", "_older", "_younger")

    def __init__(self, limit: int) -> None:
        self._younger: dict[K, V] = {}
        self._older: dict[K, V] = {}
        self._half = max(1, limit // 2)

    def __len__(self) -> int:
        return len(self._younger) + len(self._older)

    def get(self, key: K) -> V | None:
        value = self._younger.get(key)
        if value is None:
            value = self._older.pop(key, None)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        self._older.pop(key, None)
        if len(self._younger) >= self._half and key not in self._younger:
            self._older = self._younger
            self._younger = {}
        self._younger[key] = value

    def clear(self) -> None:
        self._younger.clear()
        self._older.clear()

    def drop(self, key: K) -> None:
        self._younger.pop(key, None)
        self._older.pop(key, None)
