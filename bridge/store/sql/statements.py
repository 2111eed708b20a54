"""SQL for rows, generated from the row types, and cached."""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from operator import itemgetter
from typing import Any, TypeVar, get_args, get_type_hints

from bridge.delivery.rows import FOREVER, Change, Delete, Insert, Row, Update

R = TypeVar("R", bound=Row)

LIVE = f"keep_until = {FOREVER}"
FINISHED = f"keep_until < {FOREVER}"
"""The conditions of the indexes over messages, verbatim: without one of them a query reads the whole table."""

ENDPOINT = f"endpoint = ? AND ({LIVE} OR {FINISHED})"  # all its messages, through both indexes
NEEDED = f"endpoint = ? AND ({LIVE} OR ({FINISHED} AND keep_until > ?))"

_changes: dict[tuple[type, type], str] = {}
_decoders: dict[type, Any] = {}


def _quoted(names: Iterable[str], between: str = ", ", suffix: str = "") -> str:
    return between.join(f'"{name}"{suffix}' for name in names)


def columns_sql(row: type[Row]) -> str:
    """Return the quoted columns of a row, or of all types of rows in its table, for a SELECT that `decoder` reads."""
    return _quoted(_columns(row))


def _types(row: type[R]) -> list[type[R]]:
    """Return the types of rows that exist: the type itself, or its final subclasses."""
    below = row.__subclasses__()
    return [one for child in below for one in _types(child)] if below else [row]


def _columns(row: type[Row]) -> list[str]:
    """Return all columns of the table, each once."""
    return list(dict.fromkeys(name for one in _types(row) for name in one.columns()))


def change_sql(change: type[Change], row: type[Row]) -> str:
    """Return the statement for the `values` of this kind of change to this kind of row."""
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
    """Return the function that makes a row from its SQLite columns; it restores enums and booleans.

    If the table has rows of several types, the row gets its own type.
    """
    known: Callable[[tuple[Any, ...]], R] | None = _decoders.get(row)
    if known is None:
        known = _decoders[row] = _decoder(row)
    return known


def _decoder(row: type[R]) -> Callable[[tuple[Any, ...]], R]:
    columns = _columns(row)
    if "kind" not in columns:
        return decoder_of(row, columns)
    kind = columns.index("kind")
    by_kind = {str(one.KIND): decoder_of(one, columns) for one in _types(row)}

    def decode(values: tuple[Any, ...]) -> R:
        return by_kind[values[kind]](values)

    return decode


def decoder_of(row: type[R], columns: Sequence[str]) -> Callable[[tuple[Any, ...]], R]:
    """Return the function that makes a row of exactly this type from some columns, of which it picks its own."""
    hints = get_type_hints(row)
    own = itemgetter(*(columns.index(name) for name in row.__struct_fields__))
    decoders = [(row.__struct_fields__.index(name), codec.decode) for name, codec in row.CODECS.items()]
    enums: list[tuple[int, dict[str | None, StrEnum | None]]] = []
    flags: list[int] = []
    for index, name in enumerate(row.__struct_fields__):
        kind, optional = _plain(hints[name])
        if kind is bool:
            flags.append(index)
        elif isinstance(kind, type) and issubclass(kind, StrEnum):
            members: dict[str | None, StrEnum | None] = {member.value: member for member in kind}
            enums.append((index, members | {None: None} if optional else members))

    def decode(values: tuple[Any, ...]) -> R:
        fields = list(own(values))
        for index, members in enums:
            fields[index] = members[fields[index]]
        for index in flags:
            fields[index] = fields[index] == 1
        for index, decoded in decoders:
            fields[index] = decoded(fields[index])
        return row(*fields)

    return decode


_SQL_TYPES = {bool: "BIGINT", int: "BIGINT", float: "DOUBLE PRECISION", bytes: "BLOB"}


def sql_type(row: type[Row], name: str) -> str:
    """Return the type of a column; text for all that is neither a number nor bytes."""
    if name in row.CODECS:
        return "BLOB"
    return _SQL_TYPES.get(_plain(get_type_hints(row)[name])[0], "TEXT")


def _plain(hint: Any) -> tuple[Any, bool]:
    """Return a column's type without None, and whether it may be NULL."""
    arguments = get_args(hint)
    if type(None) not in arguments:
        return hint, False
    return next(one for one in arguments if one is not type(None)), True
