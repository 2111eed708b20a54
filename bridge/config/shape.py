"""The fields of a settings type: for the check of keys, for secrets and for the template."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a settings type."""

    name: str
    kind: Any  # without Annotated and without None
    required: bool
    default: Any  # None also if there is no default
    description: str
    secret: bool  # marked Meta(extra={"secret": True})
    file: bool  # marked Meta(extra={"file": True}): a PEM file, whose contents count with its name
    example: Any  # from Meta(examples=[…])

    @property
    def struct(self) -> type[msgspec.Struct] | None:
        """Return the settings type of a nested section, if it is one."""
        return self.kind if is_struct(self.kind) else None

    @property
    def choices(self) -> tuple[str, ...]:
        """Return the words that are allowed, if they are few."""
        if isinstance(self.kind, type) and issubclass(self.kind, Enum):
            return tuple(str(member.value) for member in self.kind)
        if get_origin(self.kind) is Literal:
            return tuple(str(value) for value in get_args(self.kind))
        return ()


def is_struct(kind: Any) -> bool:
    """Return whether a type is a settings type."""
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def shape(kind: type[msgspec.Struct]) -> Iterator[Field]:
    """Return all fields in the order of the class."""
    for field, factory in _fields(kind):
        yield field if factory is None else replace(field, default=factory())


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[tuple[Field, Callable[[], Any] | None], ...]:
    """Return the fields of a settings type, found out once; where a function makes the default, that function too."""
    return tuple(_found(kind))


def _found(kind: type[msgspec.Struct]) -> Iterator[tuple[Field, Callable[[], Any] | None]]:
    hints = get_type_hints(kind, include_extras=True)
    for info in msgspec.structs.fields(kind):
        notes: list[msgspec.Meta] = []
        bare = _bare(hints[info.name], notes)
        factory = None if info.default_factory is msgspec.NODEFAULT else info.default_factory
        description = next((note.description for note in notes if note.description), "")
        examples = next((note.examples for note in notes if note.examples), None)
        field = Field(
            name=info.encode_name,
            kind=bare,
            required=info.required,
            default=None if info.default is msgspec.NODEFAULT else info.default,
            description=description,
            secret=any((note.extra or {}).get("secret") for note in notes),
            file=any((note.extra or {}).get("file") for note in notes),
            example=examples[0] if examples else None,
        )
        yield field, factory


def _bare(hint: Any, notes: list[msgspec.Meta]) -> Any:
    """Return a type without Annotated and None; annotations are added to `notes`, outermost first."""
    if get_origin(hint) is Annotated:
        inner, *more = get_args(hint)
        notes.extend(note for note in more if isinstance(note, msgspec.Meta))
        return _bare(inner, notes)
    if get_origin(hint) in {Union, UnionType}:
        members = [member for member in get_args(hint) if member is not NoneType]
        if len(members) == 1:
            return _bare(members[0], notes)
    return hint
