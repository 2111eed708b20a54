"""Enumerations for the hot path."""

from enum import Enum
from typing import TypeVar, cast

E = TypeVar("E", bound=Enum)


class _Members:
    """The members of one enumeration, as plain attributes."""


def members(enum: type[E]) -> type[E]:
    """Return the members of an enumeration under their names.

    Python 3.11 finds a member of an enum class in 100 ns, of a plain object in 5 ns, and a step does so dozens of
    times.
    """
    found = _Members()
    for name, member in enum.__members__.items():
        setattr(found, name, member)
    return cast("type[E]", found)
