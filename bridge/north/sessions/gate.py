"""Admits openings of links to one server, so that neither a restart of the bridge nor one of the server causes a storm.

The settings limit how many openings begin in a second, and how many run at the same time. A silent server is tried
by one link at a time, ever more seldom; when that link opens, the others follow at the pace. Links with a
waiting message are first. No I/O: its user calls `admit` when `next_in` seconds have passed, and after every call.
"""

from collections.abc import Hashable
from dataclasses import dataclass

LONGEST_PAUSE = 60.0  # seconds between two attempts at a silent server, at most
FIRST_PAUSE = 2.0
CATCH_UP = 0.1  # seconds that openings may be late in a busy process, and still keep the pace


@dataclass(frozen=True, slots=True)
class OpeningRate:
    """How fast links of one server are opened."""

    per_second: float = 200.0
    at_once: int = 64


class Gate:
    """Keys of links wait here. Times are monotonic seconds."""

    def __init__(self, pace: OpeningRate) -> None:
        self.change(pace)
        self._urgent: dict[Hashable, None] = {}
        self._others: dict[Hashable, None] = {}
        self._inside: set[Hashable] = set()
        self._next = 0.0  # when the next opening may begin
        self._pause = 0.0  # seconds, while the server is silent
        self.silent = ""  # why; empty: the server is not

    def change(self, pace: OpeningRate) -> None:
        """Keep to another pace from now on."""
        self._pace = pace
        self._behind = max(CATCH_UP, 1 / pace.per_second)

    def ask(self, key: Hashable, *, urgent: bool) -> None:
        """Let a link wait to be opened."""
        if key in self._inside or key in self._urgent:
            return
        if urgent:
            self._others.pop(key, None)
            self._urgent[key] = None
        else:
            self._others[key] = None

    def withdraw(self, key: Hashable) -> None:
        """Stop waiting, or abandon an admitted opening, without a result."""
        self._urgent.pop(key, None)
        self._others.pop(key, None)
        self._inside.discard(key)

    def admit(self, now: float) -> list[Hashable]:
        """Return the links whose opening must begin now. Each ends with `answered`, `unheard` or `withdraw`."""
        admitted: list[Hashable] = []
        room = (1 if self.silent else self._pace.at_once) - len(self._inside)
        while room > 0 and now >= self._next and (queue := self._urgent or self._others):
            key = next(iter(queue))
            del queue[key]
            self._inside.add(key)
            admitted.append(key)
            room -= 1
            self._next = max(self._next, now - self._behind) + 1 / self._pace.per_second
        return admitted

    def answered(self, key: Hashable) -> None:
        """Record that the server answered, whether or not the link opened."""
        self._inside.discard(key)
        self.silent = ""
        self._pause = 0.0

    def unheard(self, key: Hashable, why: str, now: float) -> None:
        """Record that the server did not answer at all."""
        self._inside.discard(key)
        self.silent = why
        self._pause = min(max(2 * self._pause, FIRST_PAUSE), LONGEST_PAUSE)
        self._next = max(self._next, now + self._pause)

    def hasten(self, now: float) -> None:
        """Try a silent server soon: it may be up again, or have another address."""
        if self.silent:
            self._next = min(self._next, now + FIRST_PAUSE)

    def next_in(self, now: float) -> float | None:
        """Return the seconds after which `admit` may return a link; None: only another call changes that."""
        if not (self._urgent or self._others):
            return None
        if len(self._inside) >= (1 if self.silent else self._pace.at_once):
            return None
        return max(0.0, self._next - now)

    def retry_in(self, now: float) -> float:
        """Return seconds until a silent server is tried again."""
        return max(0.0, self._next - now)

    @property
    def waiting(self) -> int:
        return len(self._urgent) + len(self._others)
