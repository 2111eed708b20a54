"""What the statements ask of a connection. apsw's own has it; another driver's is wrapped."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

Row = tuple[Any, ...]


class Cursor(Protocol):
    """The rows that a statement found."""

    def __iter__(self) -> Iterator[Row]: ...

    def fetchone(self) -> Row | None: ...

    def fetchall(self) -> list[Row]: ...


class Connection(Protocol):
    """Carries out statements in the words of SQLite."""

    def execute(self, statement: str, values: Any = (), /) -> Cursor:
        """Carry out one statement. `values` stand for its question marks, in order, or for its `:names`."""

    def executemany(self, statement: str, values: Iterable[Any], /) -> Any:
        """Carry out one statement for each of several sets of values."""

    def changes(self) -> int:
        """Return how many rows the last statement of `execute` changed."""

    def total_changes(self) -> int:
        """Return how many rows were changed since the connection was opened."""


def value_of(connection: Connection, question: str, values: Any = ()) -> Any:
    """Return the one value that a question finds."""
    ((value,),) = connection.execute(question, values).fetchall()
    return value


def latest_id(connection: Connection, table: str) -> int:
    """Return the largest id that a row of a table ever had, removed ones included; 0 if it had none."""
    return int(value_of(connection, "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?", (table,)))


def lock_ids(connection: Connection, table: str) -> None:
    """Let no other process number rows of a table until this transaction ends. In SQLite nobody else writes."""
    connection.execute("UPDATE sqlite_sequence SET seq = seq WHERE name = ?", (table,))


def note_id(connection: Connection, table: str, id_: int) -> None:
    """Record the largest id that a row of a table has, so that it is never given again. SQLite does so by itself."""
    connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (id_, table))
