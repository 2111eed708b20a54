"""The fields of a settings type: for the check of keys, for secrets and for the template."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
        """The settings type of a nested section, if it is one."""
        return self.kind if is_struct(self.kind) else None

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that are allowed, if they are few."""
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
    hints = _hints(kind)
    for info in msgspec.structs.fields(kind):
        notes: list[msgspec.Meta] = []
        bare = _bare(hints[info.name], notes)
        default: Any = None
        if info.default is not msgspec.NODEFAULT:
            default = info.default
        elif info.default_factory is not msgspec.NODEFAULT:
            default = info.default_factory()
        description = next((note.description for note in notes if note.description), "")
        examples = next((note.examples for note in notes if note.examples), None)
        yield Field(
            name=info.encode_name,
            kind=bare,
            required=info.required,
            default=default,
            description=description,
            secret=any((note.extra or {}).get("secret") for note in notes),
            file=any((note.extra or {}).get("file") for note in notes),
            example=examples[0] if examples else None,
        )


@cache
def _hints(kind: type[msgspec.Struct]) -> Mapping[str, Any]:
    return get_type_hints(kind, include_extras=True)


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
