"""Bodies of messages that are in the database, sealed anew under another key, or opened for good."""

from collections.abc import Callable
from functools import partial

from bridge.store.sealing import SEALED, Bodies
from bridge.store.sql.connection import Connection

PART = 500  # rows in one transaction: about 10 ms


Anew = Callable[[int, str, bytes], bytes | None]
"""Returns a stored value of a row's column as it should be, None if it is so already."""


def part(connection: Connection, *, bodies: Bodies, table: str, after: int, from_clear: bool) -> tuple[int | None, int]:
    """Seal the bodies of the next rows of a table after the id `after`.

    Return the last id, None when there are no further rows, and the number of bodies that were changed. A row that
    another node changes meanwhile stays as that node wrote it. Raises ConfigurationError.
    """
    return _part(connection, table, after, partial(bodies.anew, from_clear=from_clear))


def part_in_the_clear(connection: Connection, *, bodies: Bodies, table: str, after: int) -> tuple[int | None, int]:
    """Seal those bodies of the next rows that are in the clear. Return as above; what is sealed stays as it is."""
    return _part(connection, table, after, bodies.sealed_from_clear)


def _part(connection: Connection, table: str, after: int, anew_of: Anew) -> tuple[int | None, int]:
    columns = SEALED[table]
    names = ", ".join(columns)
    rows = connection.execute(
        f"SELECT id, {names} FROM {table} WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608  # names of our own
        (after, PART),
    ).fetchall()
    changed = 0
    for at, name in enumerate(columns, 1):
        anew = [
            (wanted, row[0], row[at])
            for row in rows
            if row[at] and (wanted := anew_of(row[0], name, row[at])) is not None
        ]
        if anew:
            connection.executemany(f"UPDATE {table} SET {name} = ? WHERE id = ? AND {name} = ?", anew)  # noqa: S608  # as above
            changed += len(anew)
    return (rows[-1][0] if len(rows) == PART else None), changed
