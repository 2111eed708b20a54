"""SQL for rows, made from the rows' own description and remembered."""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, TypeVar, get_type_hints

from bridge.delivery.rows import FOREVER, Change, Delete, Insert, Row, Update

R = TypeVar("R", bound=Row)

LIVE = f"keep_until = {FOREVER}"
FINISHED = f"keep_until < {FOREVER}"
"""Conditions of the indexes over messages, word by word: without one of them a query reads the whole table."""

ENDPOINT = f"endpoint = ? AND ({LIVE} OR {FINISHED})"  # all its messages, through both indexes
NEEDED = f"endpoint = ? AND ({LIVE} OR ({FINISHED} AND keep_until > ?))"

_changes: dict[tuple[type, type], str] = {}
_decoders: dict[type, Any] = {}


def _quoted(names: Iterable[str], between: str = ", ", suffix: str = "") -> str:
    return between.join(f'"{name}"{suffix}' for name in names)


def columns_sql(row: type[Row]) -> str:
    """Give the quoted columns of a row, in order, for a SELECT."""
    return _quoted(row.columns())


def change_sql(change: type[Change], row: type[Row]) -> str:
    """Give the statement that takes the `values` of such a change to such a row."""
    sql = _changes.get((change, row))
    if sql is None:
        sql = _changes[change, row] = _change_sql(change, row)
    return sql


def _change_sql(change: type[Change], row: type[Row]) -> str:
    key = _quoted(row.KEY, " AND ", " = ?")
    if change is Insert:
        marks = ", ".join("?" * len(row.columns()))
        return f'INSERT INTO "{row.TABLE}" ({_quoted(row.columns())}) VALUES ({marks})'  # noqa: S608  # names of our own
    if change is Update:
        return f'UPDATE "{row.TABLE}" SET {_quoted(row.mutable(), ", ", " = ?")} WHERE {key}'  # noqa: S608  # as above
    if change is Delete:
        return f'DELETE FROM "{row.TABLE}" WHERE {key}'  # noqa: S608  # as above
    raise AssertionError(f"no such change: {change}")


def decoder(row: type[R]) -> Callable[[tuple[Any, ...]], R]:
    """Give the function that makes a row from its columns as SQLite has them: enums and booleans become themselves."""
    known: Callable[[tuple[Any, ...]], R] | None = _decoders.get(row)
    if known is None:
        known = _decoders[row] = _decoder(row)
    return known


def _decoder(row: type[R]) -> Callable[[tuple[Any, ...]], R]:
    hints = get_type_hints(row)
    enums: list[tuple[int, dict[str, StrEnum]]] = []
    flags: list[int] = []
    for index, name in enumerate(row.columns()):
        kind = hints[name]
        if kind is bool:
            flags.append(index)
        elif isinstance(kind, type) and issubclass(kind, StrEnum):
            enums.append((index, {member.value: member for member in kind}))

    def decode(values: tuple[Any, ...]) -> R:
        fields = list(values)
        for index, members in enums:
            fields[index] = members[fields[index]]
        for index in flags:
            fields[index] = fields[index] == 1
        return row(*fields)

    return decode
