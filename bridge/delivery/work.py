"""What one step collects while it runs: changes and effects, in order."""

from collections.abc import Callable

import msgspec

from bridge.delivery.effects import Effect
from bridge.delivery.rows import Change, Delete, Insert, Row, Update


class Now(msgspec.Struct, frozen=True):
    """One moment on both clocks: `wall` for deadlines, `mono` for short retransmissions (seconds)."""

    wall: float
    mono: float


class Work(msgspec.Struct):
    """The changes and effects of one step. A row that changes twice is one change, as it is when the step ends."""

    now: Now
    random: Callable[[], float]  # in [0, 1)
    new_id: Callable[[], int]  # unique, never used again, increasing
    effects: list[Effect] = []
    _rows: dict[Row, type[Insert] | type[Update] | type[Delete]] = {}

    def insert(self, row: Row) -> None:
        self._rows[row] = Insert

    def update(self, row: Row) -> None:
        self._rows.setdefault(row, Update)

    def delete(self, row: Row) -> None:
        if self._rows.get(row) is Insert:
            del self._rows[row]
        else:
            self._rows[row] = Delete

    def effect(self, effect: Effect) -> None:
        self.effects.append(effect)

    def changes(self) -> list[Change]:
        """Return the changes to commit, with the rows as they are now."""
        return [change.of(row) for row, change in self._rows.items()]

    def changed(self) -> list[Row]:
        return list(self._rows)
