"""Settings that never show their secrets."""

from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec


def secret_fields(struct: type[msgspec.Struct]) -> frozenset[str]:
    """Return the names of the fields marked `Meta(extra={"secret": True})`."""
    names = set()
    for name, hint in get_type_hints(struct, include_extras=True).items():
        if get_origin(hint) is Annotated:
            for note in get_args(hint)[1:]:
                if isinstance(note, msgspec.Meta) and (note.extra or {}).get("secret"):
                    names.add(name)
    return frozenset(names)


class Masked(msgspec.Struct, frozen=True):
    """Base of settings: `repr` shows `***` instead of a secret."""

    def __repr__(self) -> str:
        hidden = secret_fields(type(self))
        shown = ", ".join(f"{name}={self._shown(name, name in hidden)}" for name in self.__struct_fields__)
        return f"{type(self).__name__}({shown})"

    def _shown(self, name: str, hidden: bool) -> str:
        value: Any = getattr(self, name)
        return "'***'" if hidden and value else repr(value)
