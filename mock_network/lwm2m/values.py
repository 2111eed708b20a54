"""Resource values and their data types (Core TS 1.1, Appendix C)."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from mock_network.lwm2m.paths import MAX_IDENTIFIER, Path


class ObjectLink(NamedTuple):
    """Objlnk: a reference to an object instance; 65535/65535 is the null link (Appendix C)."""

    object_id: int
    instance_id: int

    @classmethod
    def parse(cls, text: str) -> "ObjectLink":
        """Return the link written as `object:instance`. Raises ValueError for anything else."""
        object_text, separator, instance_text = text.partition(":")
        if not separator or not (object_text.isascii() and object_text.isdigit()):
            raise ValueError(f"not an object link: {text[:40]!r}")
        if not (instance_text.isascii() and instance_text.isdigit()):
            raise ValueError(f"not an object link: {text[:40]!r}")
        link = cls(int(object_text), int(instance_text))
        if max(link) > MAX_IDENTIFIER + 1:
            raise ValueError(f"identifier out of range: {text[:40]!r}")
        return link

    def __str__(self) -> str:
        return f"{self.object_id}:{self.instance_id}"


Value = str | int | float | bool | bytes | ObjectLink
"""String and Corelnk are str, Integer, Unsigned Integer and Time (seconds since 1970) int, Opaque bytes."""


class DataType(enum.Enum):
    """Data type of a resource; NONE is an executable resource."""

    NONE = "none"
    STRING = "string"
    INTEGER = "integer"
    UNSIGNED = "unsigned integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    OPAQUE = "opaque"
    TIME = "time"
    OBJLNK = "objlnk"
    CORELNK = "corelnk"


INTEGERS = frozenset({DataType.INTEGER, DataType.UNSIGNED, DataType.TIME})
TEXTS = frozenset({DataType.STRING, DataType.CORELNK})

TypeOf = Callable[[Path], DataType | None]
"""Returns the data type of the resource at a path, None if the resource is unknown."""


@dataclass(frozen=True, slots=True)
class Record:
    """One value: of a single resource (three levels) or of a resource instance (four levels).

    `time` is seconds since 1970, or relative to now if below 2**28 (RFC 8428 §4.5.3); None when none was given.
    `value` is None only in a request that merely names paths (composite read).
    """

    path: Path
    value: Value | None
    time: float | None = None


class FormatError(ValueError):
    """A payload that does not match its content format, or a value that does not fit its data type."""


def parse_object_link(text: str) -> ObjectLink:
    """Return the link written as `object:instance`; FormatError otherwise."""
    try:
        return ObjectLink.parse(text)
    except ValueError as error:
        raise FormatError(str(error)) from None


_INT64 = 1 << 63


def _integer(value: object, data_type: DataType) -> int | None:
    """Return `value` if it is a 64-bit integer of this type. JSON may have 1 as 1.0; bool is none to LwM2M."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    low, high = (0, 2 * _INT64) if data_type is DataType.UNSIGNED else (-_INT64, _INT64)
    return value if low <= value < high else None


def check(value: object, data_type: DataType) -> Value:
    """Return `value` as the Python value of `data_type`. Raises FormatError if it is none."""
    if data_type in TEXTS:
        if isinstance(value, str):
            return value
    elif data_type in INTEGERS:
        integer = _integer(value, data_type)
        if integer is not None:
            return integer
    elif data_type is DataType.FLOAT:
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                return float(value)
            except OverflowError:
                raise FormatError("number out of range") from None
    elif data_type is DataType.BOOLEAN:
        if isinstance(value, bool):
            return value
    elif data_type is DataType.OPAQUE:
        if isinstance(value, bytes):
            return value
    elif data_type is DataType.OBJLNK and isinstance(value, ObjectLink):
        return value
    raise FormatError(f"{type(value).__name__} does not fit a resource of type {data_type.value}")
