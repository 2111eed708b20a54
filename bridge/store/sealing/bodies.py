"""Bodies of messages, which may hold keys that a bootstrap server writes: sealed in rows, in the clear in memory.

The threads of a store do it: rows are sealed on their way into a transaction, and opened when they are read.
"""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from bridge.delivery.downlinks import Downlink
from bridge.delivery.rows import Change, Form, Insert, Row, Run, Update
from bridge.delivery.uplinks import Uplink
from bridge.store.sealing.seal import NO_SEAL, Seal

R = TypeVar("R", bound=Row)

SEALED = {Downlink.TABLE: ("body", "split_from"), Uplink.TABLE: ("body", "reply_body")}
"""The columns that are sealed, by table. An empty one stays empty."""

_FIRST = 0  # the first byte of sealed and of marked values

_Columns = tuple[tuple[int, str], ...]  # the places of bodies among a change's values, and the columns' names
_Places = tuple[int, _Columns]
_places: dict[Form, _Places] = {}


class Bodies:
    """Seals and opens bodies by one seal; without any key it only marks those that could be taken for sealed ones."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal
        self.seals = seal.seals
        """Whether what is written is sealed."""

    def sealed(self, runs: Iterable[Run]) -> Iterator[Run]:
        """Yield runs of changes as they are to be stored."""
        for form, run in runs:
            id_at, columns = _places_of(form)
            if columns and (self.seals or _any_to_mark(run, columns)):
                yield form, [self._as_stored(values, id_at, columns) for values in run]
            else:
                yield form, run

    def _as_stored(self, change: tuple[Any, ...], id_at: int, columns: _Columns) -> tuple[Any, ...]:
        """Return the values of a change with its bodies sealed, or marked."""
        values = list(change)
        for at, name in columns:
            if values[at]:
                values[at] = self._seal.seal(values[at], context(values[id_at], name))
        return tuple(values)

    def opened(self, row: R) -> R:
        """Return a row that was read, with its bodies in the clear. Raises ConfigurationError if no key opens one.

        Without any key what begins as a sealed one stays as it is: so it was stored before such bodies were marked.
        """
        opens = self._seal.opens
        for name in SEALED.get(row.TABLE, ()):
            stored = getattr(row, name, None)
            if stored and (opens or stored[0] == _FIRST):
                place = context(row.id, name)  # type: ignore[attr-defined]
                setattr(row, name, self._seal.open(stored, place) if opens else self._seal.unmarked(stored))
        return row

    def anew(self, id_: int, name: str, stored: bytes, *, from_clear: bool) -> bytes | None:
        """Return a stored value as it would be stored now, None if it is so already.

        `from_clear`: nothing was sealed before, so that a value which only looks like one is in the clear: earlier
        versions marked none without a key. Raises ConfigurationError if no key opens it.
        """
        place = context(id_, name)
        is_sealed = self._seal.is_sealed(stored, place)
        if is_sealed and self._seal.is_current(stored):
            return None
        is_lookalike = from_clear and not is_sealed and self._seal.looks_sealed(stored)
        clear = stored if is_lookalike else self._seal.open(stored, place)
        wanted = self._seal.seal(clear, place)
        return None if wanted == stored else wanted

    def sealed_from_clear(self, id_: int, name: str, stored: bytes) -> bytes | None:
        """Return a stored value that is in the clear as it would be stored now; None if it is sealed, or none is."""
        if not self.seals or self._seal.looks_sealed(stored):
            return None
        return self._seal.seal(self._seal.unmarked(stored), context(id_, name))


def context(id_: int, name: str) -> str:
    """Return what binds a sealed body to its row and column."""
    return f"message:{id_}:{name}"


def _any_to_mark(run: list[tuple[Any, ...]], columns: _Columns) -> bool:
    """Return whether a body may need a mark: nearly none begins with that byte."""
    for at, _ in columns:
        for values in run:
            value = values[at]
            if value and value[0] == _FIRST:
                return True
    return False


def _places_of(form: Form) -> _Places:
    """Return where the id and the sealed columns are in the values of changes of a form."""
    found = _places.get(form)
    if found is None:
        found = _places[form] = _find(*form)
    return found


def _find(kind: type[Change], row: type[Row]) -> _Places:
    names: tuple[str, ...] = ()  # of a Delete, which has no body
    if kind is Insert:
        names = row.columns()
    elif kind is Update:
        names = (*row.mutable(), *row.KEY)
    columns = tuple((names.index(name), name) for name in SEALED.get(row.TABLE, ()) if name in names)
    return (names.index("id") if columns else 0), columns


NO_BODIES = Bodies(NO_SEAL)
