"""Changes of rows as statements: neighbours of one form together."""

from collections.abc import Iterable, Iterator
from typing import Any

from bridge.delivery.rows import Change, Row, Update
from bridge.store.sql.connection import Connection
from bridge.store.sql.statements import change_sql

Form = tuple[type[Change], type[Row]]


def apply(connection: Connection, changes: Iterable[Change]) -> None:
    """Apply changes in order. Raises LookupError if a row to update is not there."""
    for form, run in runs(changes):
        before = connection.total_changes()
        connection.executemany(change_sql(*form), run)
        check(form, run, connection.total_changes() - before)


def runs(changes: Iterable[Change]) -> Iterator[tuple[Form, list[tuple[Any, ...]]]]:
    """Yield the values of changes in order, those of neighbours that need the same statement together."""
    form: Form | None = None
    run: list[tuple[Any, ...]] = []
    for change in changes:
        this = (type(change), change.row)
        if this != form:
            if form is not None:
                yield form, run
            form = this
            run = []
        run.append(change.values)
    if form is not None:
        yield form, run


def check(form: Form, run: list[tuple[Any, ...]], changed: int) -> None:
    """Raise LookupError if rows to update are not there."""
    kind, row = form
    if kind is Update and changed != len(run):
        raise LookupError(f"{len(run) - changed} of {len(run)} rows of {row.TABLE} to update are not there")
