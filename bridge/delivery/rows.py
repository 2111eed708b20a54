"""How the core names what must be kept: rows, and changes to rows. What stores them is another room's business."""

from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Any, ClassVar

import msgspec

FOREVER = 9e18  # a `keep_until` that no clock reaches


class Row:
    """Base of every kept record: a slotted dataclass whose fields are the columns of `TABLE`, in order.

    `KEY` are the columns that identify it, `FROZEN` those that never change after the insert.
    """

    __slots__ = ()
    TABLE: ClassVar[str]
    KEY: ClassVar[tuple[str, ...]] = ("id",)
    FROZEN: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """Give the names of all columns, in the order of `snapshot`."""
        return tuple(f.name for f in fields(cls))  # type: ignore[arg-type]  # every Row is a dataclass

    @classmethod
    def mutable(cls) -> tuple[str, ...]:
        """Give the names of the columns that an Update carries, in order."""
        return tuple(c for c in cls.columns() if c not in cls.FROZEN and c not in cls.KEY)


_getters: dict[tuple[type[Row], str], Callable[[Any], Any]] = {}


def _values(row: Row, what: str) -> tuple[Any, ...]:
    cls = type(row)
    getter = _getters.get((cls, what))
    if getter is None:
        names = {"all": cls.columns(), "update": cls.mutable() + cls.KEY, "key": cls.KEY}[what]
        single = len(names) == 1
        inner = attrgetter(*names)
        getter = (lambda r: (inner(r),)) if single else inner
        _getters[cls, what] = getter
    values: tuple[Any, ...] = getter(row)
    return values


class Insert(msgspec.Struct, frozen=True):
    """A new row; `values` in the order of `Row.columns`."""

    row: type[Row]
    values: tuple[Any, ...]

    @classmethod
    def of(cls, row: Row) -> "Insert":
        return cls(type(row), _values(row, "all"))


class Update(msgspec.Struct, frozen=True):
    """A changed row; `values` in the order of `Row.mutable`, then the key."""

    row: type[Row]
    values: tuple[Any, ...]

    @classmethod
    def of(cls, row: Row) -> "Update":
        return cls(type(row), _values(row, "update"))


class Delete(msgspec.Struct, frozen=True):
    """A row that is no longer needed; `values` are its key."""

    row: type[Row]
    values: tuple[Any, ...]

    @classmethod
    def of(cls, row: Row) -> "Delete":
        return cls(type(row), _values(row, "key"))


Change = Insert | Update | Delete
