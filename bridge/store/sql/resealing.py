"""Bodies of messages that are in the database, sealed anew under another key, or opened for good."""

from bridge.store.sealing import SEALED, Bodies
from bridge.store.sql.connection import Connection

PART = 500  # rows in one transaction: about 10 ms


def part(connection: Connection, *, bodies: Bodies, table: str, after: int, from_clear: bool) -> tuple[int | None, int]:
    """Seal the bodies of the next rows of a table after the id `after`.

    Return the last id, None when there are no further rows, and the number of bodies that were changed. A row that
    another node changes meanwhile stays as that node wrote it. Raises ConfigurationError.
    """
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
            if row[at] and (wanted := bodies.anew(row[0], name, row[at], from_clear=from_clear)) is not None
        ]
        if anew:
            connection.executemany(f"UPDATE {table} SET {name} = ? WHERE id = ? AND {name} = ?", anew)  # noqa: S608  # as above
            changed += len(anew)
    return (rows[-1][0] if len(rows) == PART else None), changed
