"""How the core names what must be kept: rows, and changes to rows. What stores them is another room's business."""

from typing import Any, ClassVar

import msgspec
from msgspec.structs import astuple

FOREVER = 9e18  # a `keep_until` that no clock reaches


class Row(msgspec.Struct, eq=False, gc=False):
    """Base of every kept record: its fields are the columns of `TABLE`, in order; none holds what could hold the row.

    `KEY` are the columns that identify it, `FROZEN` those that never change after the insert. They come first.
    """

    TABLE: ClassVar[str]
    KEY: ClassVar[tuple[str, ...]] = ("id",)
    FROZEN: ClassVar[frozenset[str]] = frozenset()
    FIXED: ClassVar[int]  # how many columns these are together

    def __init_subclass__(cls, **config: Any) -> None:
        super().__init_subclass__(**config)
        cls.FIXED = len(cls.KEY) + len(cls.FROZEN)

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """Give the names of all columns, in order."""
        return cls.__struct_fields__

    @classmethod
    def mutable(cls) -> tuple[str, ...]:
        """Give the names of the columns that an Update carries, in order."""
        return cls.__struct_fields__[cls.FIXED :]


class Insert(msgspec.Struct, frozen=True):
    """A new row; `values` in the order of `Row.columns`."""

    row: type[Row]
    values: tuple[Any, ...]

    @classmethod
    def of(cls, row: Row) -> "Insert":
        return cls(type(row), astuple(row))


class Update(msgspec.Struct, frozen=True):
    """A changed row; `values` in the order of `Row.mutable`, then the key."""

    row: type[Row]
    values: tuple[Any, ...]

    @classmethod
    def of(cls, row: Row) -> "Update":
        values = astuple(row)
        return cls(type(row), values[row.FIXED :] + values[: len(row.KEY)])


class Delete(msgspec.Struct, frozen=True):
    """A row that is no longer needed; `values` are its key."""

    row: type[Row]
    values: tuple[Any, ...]

    @classmethod
    def of(cls, row: Row) -> "Delete":
        return cls(type(row), astuple(row)[: len(row.KEY)])


Change = Insert | Update | Delete
