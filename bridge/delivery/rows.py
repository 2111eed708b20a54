"""Rows, and changes to rows: what the core asks a store to keep. `bridge.store` stores them."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cache
from operator import itemgetter
from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar, get_type_hints

import msgspec
from msgspec.structs import astuple, replace

FOREVER = 9e18  # a `keep_until` that is never reached

T = TypeVar("T")

Fixed = Annotated[T, "fixed"]
"""A column that never changes after the insert: no Update carries it."""


class Codec(NamedTuple):
    """How a field that is not a plain value is stored in its column."""

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


class Row(msgspec.Struct, eq=False, gc=False):
    """Base of every stored record: its fields are columns of `TABLE`. No field may refer back to the row.

    A table may hold rows of several types; then each type has its `KIND`, stored in the column `kind`, and only
    its own fields: columns of other types are NULL.
    """

    TABLE: ClassVar[str]
    KEY: ClassVar[tuple[str, ...]] = ("id",)  # the columns that identify a row; they never change either
    KIND: ClassVar[StrEnum | None] = None
    CODECS: ClassVar[Mapping[str, Codec]] = {}  # of fields that are not plain values
    REMOVED_ONCE: ClassVar[bool] = False  # whether nothing of a commit is kept that removes a row which is not there

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """Return the names of all columns, in the order of an Insert's values."""
        return cls.__struct_fields__ if cls.KIND is None else (*cls.__struct_fields__, "kind")

    @classmethod
    def mutable(cls) -> tuple[str, ...]:
        """Return the names of the columns in an Update, in order; the key follows them."""
        return _mutable(cls)


class Insert(msgspec.Struct, frozen=True):
    """A new row; `values` in the order of `Row.columns`."""

    row: type[Row]
    values: tuple[Any, ...]

    @classmethod
    def of(cls, row: Row) -> "Insert":
        kind = row.KIND
        values = _encoded(row) if row.CODECS else astuple(row)
        return cls(type(row), values if kind is None else values + (kind,))  # noqa: RUF005  # twice as quick


class Update(msgspec.Struct, frozen=True):
    """A changed row; `values` in the order of `Row.mutable`, then the key."""

    row: type[Row]
    values: tuple[Any, ...]

    @classmethod
    def of(cls, row: Row) -> "Update":
        kind = type(row)
        pick = _picks.get(kind)
        if pick is None:
            pick = _picks[kind] = _picker(kind)
        return cls(kind, pick(_encoded(row) if row.CODECS else astuple(row)))


class Delete(msgspec.Struct, frozen=True):
    """A row that is no longer needed; `values` are its key."""

    row: type[Row]
    values: tuple[Any, ...]

    @classmethod
    def of(cls, row: Row) -> "Delete":
        return cls(type(row), tuple(getattr(row, name) for name in row.KEY))


R = TypeVar("R", bound=Row)
Change = Insert | Update | Delete

Form = tuple[type[Change], type[Row]]
"""The kind of a change, and the type of its row: changes of one form have the same columns in their values."""

Run = tuple[Form, list[tuple[Any, ...]]]
"""The values of changes of one form that are applied one after the other."""


def inserted(change: Insert) -> Row:
    """Return the row of an Insert."""
    kind = change.row
    fields = kind.__struct_fields__
    values = list(change.values[: len(fields)])
    for name, codec in kind.CODECS.items():
        at = fields.index(name)
        values[at] = codec.decode(values[at])
    return kind(*values)


def updated(row: R, change: Update) -> R:
    """Return a row as it is after an Update."""
    kind = change.row
    changes = {name: _decoded(kind, name, value) for name, value in zip(kind.mutable(), change.values, strict=False)}
    return replace(row, **changes)


@cache
def _mutable(kind: type[Row]) -> tuple[str, ...]:
    hints = get_type_hints(kind, include_extras=True)
    return tuple(
        name
        for name in kind.__struct_fields__
        if name not in kind.KEY and "fixed" not in getattr(hints[name], "__metadata__", ())
    )


def _decoded(kind: type[Row], name: str, value: Any) -> Any:
    codec = kind.CODECS.get(name)
    return value if codec is None else codec.decode(value)


_Coded = list[tuple[int, Callable[[Any], Any]]]
_coded: dict[type[Row], _Coded] = {}


def _encoded(row: Row) -> tuple[Any, ...]:
    """Return all fields of a row as they are stored."""
    coded = _coded.get(type(row))
    if coded is None:
        fields = row.__struct_fields__
        coded = _coded[type(row)] = [(fields.index(name), codec.encode) for name, codec in row.CODECS.items()]
    values = list(astuple(row))
    for at, encode in coded:
        values[at] = encode(values[at])
    return tuple(values)


_Picker = Callable[[tuple[Any, ...]], tuple[Any, ...]]
_picks: dict[type[Row], _Picker] = {}


def _picker(row: type[Row]) -> _Picker:
    """Return a function that picks an Update's values from all fields of such a row."""
    fields = row.__struct_fields__
    return itemgetter(*(fields.index(name) for name in (*row.mutable(), *row.KEY)))
