"""Removing messages whose retention has ended."""

from dataclasses import dataclass

from bridge.store.sql.connection import Connection

PART = 500  # rows checked in one transaction (a few ms)


@dataclass(frozen=True, slots=True)
class Table:
    """One table of messages. `began` is a column that rises with the ids; `over` holds for rows with their outcome."""

    name: str
    began: str
    over: str


TABLES = (
    Table("downlink", "accepted_at", "over = 1"),
    Table("uplink", "received_at", "state <> 'RECEIVED' AND due IS NULL"),
)


def part(connection: Connection, table: Table, after: int, before: float) -> tuple[int, int]:
    """Remove the rows that may be removed among the next ones after the id `after`.

    Return the last id checked, 0 when all rows that are old enough were checked, and the number of rows removed.
    """
    rows = connection.execute(
        f"SELECT id, {table.began} FROM {table.name} WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608  # names of our own
        (after, PART),
    ).fetchall()
    if not rows:
        return 0, 0
    last: int = rows[-1][0]
    connection.execute(
        f"DELETE FROM {table.name} WHERE id > ? AND id <= ? AND {table.over} AND finished_at < ? AND keep_until < ?",  # noqa: S608  # as above
        (after, last, before, before),
    )
    gone = connection.changes()
    finished = len(rows) < PART or rows[-1][1] >= before  # ids rise with time: all further rows are younger
    return 0 if finished else last, gone
