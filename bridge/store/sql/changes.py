"""Changes of rows as statements: those of one form together."""

from collections.abc import Iterable, Iterator
from typing import Any

from bridge.delivery.rows import Change, Delete, Form, Run, Update
from bridge.store.sql.connection import Connection
from bridge.store.sql.statements import change_sql


def apply(connection: Connection, given: Iterable[Run]) -> None:
    """Apply runs of changes in order. Raises LookupError if a row to update is not there."""
    for form, run in given:
        before = connection.total_changes()
        connection.executemany(change_sql(*form), run)
        check(form, run, connection.total_changes() - before)


def runs(changes: Iterable[Change]) -> Iterator[Run]:
    """Yield the values of changes, those of one table that need the same statement one after the other together.

    The changes of each table stay in order. Tables do not refer to each other, so that their changes may change places.
    """
    current: dict[str, Run] = {}  # by table
    for change in changes:
        row = change.row
        form = type(change), row
        run = current.get(row.TABLE)
        if run is not None:
            if run[0] == form:
                run[1].append(change.values)
                continue
            yield run
        current[row.TABLE] = form, [change.values]
    yield from current.values()


def check(form: Form, run: list[tuple[Any, ...]], changed: int) -> None:
    """Raise LookupError if rows to update, or to remove once, are not there."""
    kind, row = form
    if changed != len(run) and (kind is Update or (kind is Delete and row.REMOVED_ONCE)):
        raise LookupError(f"{len(run) - changed} of {len(run)} rows of {row.TABLE} to change are not there")
