"""Removing messages whose retention has ended."""

from dataclasses import dataclass

from bridge.store.sql.connection import Connection

LOOK = 5000  # rows looked at by one question, where no commit waits
PART = 500  # rows in one transaction, behind which commits wait (a few ms)


@dataclass(frozen=True, slots=True)
class Table:
    """One table of messages. `over` holds for rows with their outcome.

    `began` is a column that rises with the ids, but for rows written while a clock was ahead.
    """

    name: str
    began: str
    over: str


TABLES = (
    Table("downlink", "accepted_at", "over = 1"),
    Table("uplink", "received_at", "state <> 'RECEIVED' AND due IS NULL"),
)


@dataclass(frozen=True, slots=True)
class Look:
    """What the next rows of a table are, as far as `last`; `last` is 0 behind the last row of the table."""

    last: int
    can_go: bool  # whether some of them can be removed
    are_old: bool  # whether one of them began long enough ago for that


def look(connection: Connection, table: Table, after: int, before: float) -> Look:
    """Read the next rows after the id `after`, of which those can be removed that ended before `before`."""
    found = connection.execute(
        # One row, whatever there is: the interpreter would be kept busy by thousands.
        "SELECT max(id), max(goes), min(began) FROM"  # noqa: S608  # names of our own
        f" (SELECT id, {table.began} AS began, CASE WHEN {_can_go(table)} THEN 1 ELSE 0 END AS goes"
        f" FROM {table.name} WHERE id > ? ORDER BY id LIMIT ?) AS looked",
        (before, before, after, LOOK),
    ).fetchone()
    if found is None or found[0] is None:
        return Look(0, can_go=False, are_old=False)
    last, goes, began = found
    return Look(last, can_go=bool(goes), are_old=began < before)


def part(connection: Connection, table: Table, after: int, last: int, before: float) -> tuple[int, int]:
    """Remove the rows that can be removed among the next ones after the id `after`, up to `last`.

    Return the last id checked, and the number of rows removed.
    """
    rows = connection.execute(
        f"SELECT id FROM {table.name} WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",  # noqa: S608  # as above
        (after, last, PART),
    ).fetchall()
    checked: int = rows[-1][0] if len(rows) == PART else last
    connection.execute(
        f"DELETE FROM {table.name} WHERE id > ? AND id <= ? AND {_can_go(table)}",  # noqa: S608  # as above
        (after, checked, before, before),
    )
    return checked, connection.changes()


def _can_go(table: Table) -> str:
    return f"({table.over} AND finished_at < ? AND keep_until < ?)"
