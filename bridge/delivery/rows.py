"""How the core names what must be kept: rows, and changes to rows. What stores them is another room's business."""

from collections.abc import Callable
from enum import StrEnum
from operator import itemgetter
from typing import Annotated, Any, ClassVar, TypeVar, get_type_hints

import msgspec
from msgspec.structs import astuple

FOREVER = 9e18  # a `keep_until` that no clock reaches

T = TypeVar("T")

Fixed = Annotated[T, "fixed"]
"""A column that never changes after the insert: no Update carries it."""


class Row(msgspec.Struct, eq=False, gc=False):
    """Base of every kept record: its fields are columns of `TABLE`; none holds what could hold the row.

    A table may hold rows of several types; then each has its `KIND`, which stands in the column `kind`, and its own
    fields alone: columns of the others are NULL in it.
    """

    TABLE: ClassVar[str]
    KEY: ClassVar[tuple[str, ...]] = ("id",)  # the columns that identify a row; Fixed, too
    KIND: ClassVar[StrEnum | None] = None

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """Return the names of all columns, in the order of an Insert's values."""
        return cls.__struct_fields__ if cls.KIND is None else (*cls.__struct_fields__, "kind")

    @classmethod
    def mutable(cls) -> tuple[str, ...]:
        """Return the names of the columns that an Update carries, in order; the key follows them."""
        hints = get_type_hints(cls, include_extras=True)
        return tuple(
            name
            for name in cls.__struct_fields__
            if name not in cls.KEY and "fixed" not in getattr(hints[name], "__metadata__", ())
        )


class Insert(msgspec.Struct, frozen=True):
    """A new row; `values` in the order of `Row.columns`."""

    row: type[Row]
    values: tuple[Any, ...]

    @classmethod
    def of(cls, row: Row) -> "Insert":
        kind = row.KIND
        return cls(type(row), astuple(row) if kind is None else astuple(row) + (kind,))  # noqa: RUF005  # twice as quick


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
        return cls(kind, pick(astuple(row)))


class Delete(msgspec.Struct, frozen=True):
    """A row that is no longer needed; `values` are its key."""

    row: type[Row]
    values: tuple[Any, ...]

    @classmethod
    def of(cls, row: Row) -> "Delete":
        return cls(type(row), tuple(getattr(row, name) for name in row.KEY))


Change = Insert | Update | Delete


_Picker = Callable[[tuple[Any, ...]], tuple[Any, ...]]
_picks: dict[type[Row], _Picker] = {}


def _picker(row: type[Row]) -> _Picker:
    """Return what picks an Update's values out of all fields of such a row."""
    fields = row.__struct_fields__
    return itemgetter(*(fields.index(name) for name in (*row.mutable(), *row.KEY)))
