"""A table of the emulated server: creating, reading, changing and deleting the rows of one kind as the real API does.

Every method raises `Refused` with the status the real server answers with. A second row under the same key and a
reference to a row that is not there are database errors in ChirpStack 4.20, so callers see INTERNAL (storage/error.rs
`from_diesel`). A row goes with the row it refers to: all references of its tables are `on delete cascade`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from .errors import Refused, Status, invalid, not_found
from .model import Body, Key, Row
from .values import uuid

Kept = TypeVar("Kept", bound=Row[Any, Any])
Duplicate = Callable[[str, str], Refused]
"""Returns the refusal of a second row of a table under the same key."""


@dataclass(frozen=True, slots=True)
class KeyColumn(Generic[Key]):
    """A primary key: the field of the message that has it, and how callers write it. `made`: the server chooses it."""

    name: str
    read: Callable[[str], Key]
    show: Callable[[Key], str]
    made: Callable[[], Key] | None = None


class Table(Generic[Key, Body, Kept]):
    """The rows of one kind. `parents` are its columns that refer to rows of other tables.

    A kind of its own says more by overriding `validated` and `admit`.
    """

    moves = False  # whether an update may name other parents
    named_at_first = True  # whether a new row must have a name; a changed one must

    def __init__(
        self,
        name: str,
        row: Callable[..., Kept],
        key: KeyColumn[Key],
        *,
        parents: "Mapping[str, Table[UUID, Any, Any]] | None" = None,
        duplicate: Duplicate,
        removed: Callable[[Kept], None] = lambda _: None,
    ) -> None:
        self.rows: dict[Key, Kept] = {}
        self._name, self._row, self._key = name, row, key
        self.parents = parents or {}
        self._children: list[tuple[Table[Any, Any, Any], str]] = []
        self._duplicate, self._removed = duplicate, removed
        for column, parent in self.parents.items():
            parent.refer(self, column)

    def refer(self, child: "Table[Any, Any, Any]", column: str) -> None:
        """Take note that a column of another table refers to rows of this one."""
        self._children.append((child, column))

    def validated(self, message: Body, *, new: bool) -> Body:
        """Return a copy of a message as it will be stored; kinds may override it."""
        kept = type(message)()
        kept.CopyFrom(message)
        if not getattr(kept, "name", "") and (self.named_at_first or not new):
            raise invalid("name is not set")
        return kept

    def admit(self, parents: Mapping[str, UUID]) -> None:
        """Refuse a new row that is one too many; for kinds to override."""

    def create(self, message: Body, now: float) -> Kept:
        """Add a row."""
        key = self._key.made() if self._key.made else self._read_key(message)
        columns = self._columns(message)
        kept = self.validated(message, new=True)
        self.admit(columns)
        if key in self.rows:
            raise self._duplicate(self._name, self._key.show(key))
        self._check(columns)
        row = self._row(id=key, message=kept, created_at=now, updated_at=now, **columns)
        self.rows[key] = row
        self._show_columns(row)
        return row

    def update(self, message: Body, now: float) -> Kept:
        """Change a row; where it belongs stays, unless rows of this kind may move."""
        key = self._read_key(message)
        columns = self._columns(message) if self.moves else {}
        kept = self.validated(message, new=False)
        row = self._find(key)
        self._check(columns)
        for column, value in columns.items():
            setattr(row, column, value)
        row.message, row.updated_at = kept, now
        self._show_columns(row)
        return row

    def get(self, identifier: str) -> Kept:
        """Read a row."""
        return self._find(self._key.read(identifier))

    def delete(self, identifier: str) -> None:
        """Remove a row, and with it all that refers to it."""
        self.remove(self.get(identifier))

    def remove(self, row: Kept) -> None:
        """Remove a row that is there."""
        for table, column in self._children:
            for child in [child for child in table.rows.values() if getattr(child, column) == row.id]:
                table.remove(child)
        self._removed(row)
        del self.rows[row.id]

    def _find(self, key: Key) -> Kept:
        row = self.rows.get(key)
        if row is None:
            raise not_found(self._key.show(key))
        return row

    def _read_key(self, message: Body) -> Key:
        return self._key.read(getattr(message, self._key.name))

    def _columns(self, message: Body) -> dict[str, UUID]:
        return {column: uuid(getattr(message, column)) for column in self.parents}

    def _check(self, columns: Mapping[str, UUID]) -> None:
        for column, value in columns.items():
            if value not in self.parents[column].rows:
                raise dangling(self._name, column)

    def _show_columns(self, row: Kept) -> None:
        """Write key and parents into the stored message in the server's form."""
        setattr(row.message, self._key.name, self._key.show(row.id))
        for column in self.parents:
            setattr(row.message, column, str(getattr(row, column)))


def dangling(table: str, reference: str) -> Refused:
    """Return the refusal of a reference to a row that is not there."""
    text = f'insert or update on table "{table}" violates foreign key constraint "{table}_{reference}_fkey"'
    return Refused(Status.INTERNAL, text)
