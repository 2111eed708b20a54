"""Resource values: as JSON callers write and read them, as texts, and as bytes of TLV (Core TS 1.1, appendix C)."""

import base64
import binascii
import math
import re
import struct
from typing import Any

from bridge.errors import RequestError
from bridge.lwm2m.objects import Type
from bridge.lwm2m.paths import LARGEST

Json = bool | int | float | str
"""A value as JSON has it: bytes (opaque) in base64, an object link as OBJECT:INSTANCE, a time in seconds."""

_NUMBERS = (Type.INTEGER, Type.UNSIGNED, Type.TIME)
_TEXTS = (Type.STRING, Type.CORELNK)
SMALLEST, _LARGEST = -(1 << 63), (1 << 63) - 1
LARGEST_UNSIGNED = (1 << 64) - 1
"""The bounds of integers: the smallest of type integer, the largest of type unsigned."""
_LINK = 4  # bytes of an object link
_WIDTHS = (1, 2, 4, 8)  # bytes of an integer
_TRUTH = {b"\x00": False, b"\x01": True}


def guessed(value: Json) -> Type:
    """Return the type that a JSON value has by itself, for a resource of which nothing is known."""
    if isinstance(value, bool):
        return Type.BOOLEAN
    if isinstance(value, int):
        return Type.INTEGER
    return Type.FLOAT if isinstance(value, float) else Type.STRING


def checked(value: Json, kind: Type, where: str) -> Any:
    """Return a JSON value as the value of its type: bytes for opaque. Raises RequestError.

    A number and a truth value may also be given as text, for callers whose numbers do not hold 64 bits: "300", "true".
    """
    given = value
    if isinstance(value, str) and kind not in _TEXTS:
        value = _read(value, kind)
    found: Any = None
    if (kind in _TEXTS and isinstance(value, str)) or (kind is Type.BOOLEAN and isinstance(value, bool)):
        found = value
    elif kind in _NUMBERS and isinstance(value, int) and not isinstance(value, bool):
        smallest, largest = (0, LARGEST_UNSIGNED) if kind is Type.UNSIGNED else (SMALLEST, _LARGEST)
        found = value if smallest <= value <= largest else None
    elif kind is Type.FLOAT and isinstance(value, int | float) and not isinstance(value, bool):
        found = _finite(value)
    elif kind is Type.OPAQUE and isinstance(value, str):
        found = _bytes(value)
    elif kind is Type.OBJLNK and isinstance(value, str):
        found = value if _link(value) is not None else None
    if found is None:
        raise RequestError(f"{where} is of type {kind}, and {given!r:.60} is none ({_HOW.get(kind, 'see the docs')})")
    return found


def _read(text: str, kind: Type) -> Json:
    """Return the number or truth value that a text means; the text where it means none."""
    if kind in _NUMBERS and _WHOLE.fullmatch(text):
        return int(text)
    if kind is Type.FLOAT and _NUMBER.fullmatch(text):
        return float(text)
    return text == "true" if kind is Type.BOOLEAN and text in ("true", "false") else text


_WHOLE = re.compile(r"-?[0-9]{1,20}")
_NUMBER = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,3})?")

_HOW = {
    Type.OPAQUE: "bytes in base64",
    Type.OBJLNK: "OBJECT:INSTANCE",
    Type.TIME: "seconds since 1970",
    Type.NONE: "it can only be executed",
    Type.INTEGER: "a whole number of 64 bits",
    Type.UNSIGNED: "a whole number from 0 on, of 64 bits",
    Type.FLOAT: "a number",
    Type.BOOLEAN: "true or false",
    Type.STRING: "a text",
    Type.CORELNK: "a text",
}


def as_json(value: Any) -> Json | None:
    """Return a value as JSON has it."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    found: Json | None = value
    return None if isinstance(value, float) and not math.isfinite(value) else found


def to_text(value: Any, kind: Type) -> bytes:
    """Return a value as plain text (Core TS 1.1, 7.4.1)."""
    if isinstance(value, bytes):
        return base64.b64encode(value)
    if isinstance(value, bool):
        return b"1" if value else b"0"
    if kind is Type.FLOAT:
        return repr(float(value)).encode()
    return str(value).encode()


def from_text(text: bytes, kind: Type | None) -> Any:
    """Return the value of a plain text; of a resource that is not known, the text. Raises ValueError."""
    plain = text.decode()
    if kind is Type.BOOLEAN:
        return {"0": False, "1": True}[plain]
    if kind in _NUMBERS:
        return int(plain)
    if kind is Type.FLOAT:
        return float(plain)
    if kind is Type.OPAQUE:
        return base64.b64decode(plain, validate=True)
    return plain


def to_bytes(value: Any, kind: Type) -> bytes:
    """Return a value as the bytes that TLV carries, as few as can be."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool):
        return b"\x01" if value else b"\x00"
    if kind is Type.FLOAT:
        short = struct.pack(">f", value) if abs(value) <= _LARGEST_SHORT else b""
        return short if short and struct.unpack(">f", short)[0] == value else struct.pack(">d", value)
    if kind is Type.OBJLNK:
        return struct.pack(">HH", *(_link(value) or (0, 0)))
    if isinstance(value, int):
        signed = kind is not Type.UNSIGNED
        width = next(one for one in _WIDTHS if _fits(value, one, signed=signed))
        return value.to_bytes(width, "big", signed=signed)
    return str(value).encode()


def from_bytes(data: bytes, kind: Type | None) -> Any:
    """Return the value of TLV bytes; of a resource that is not known, the bytes. Raises ValueError."""
    if kind in _TEXTS:
        return data.decode()
    if kind is Type.BOOLEAN:
        return _TRUTH[data]
    if kind in _NUMBERS:
        if len(data) not in _WIDTHS:
            raise ValueError(f"{len(data)} bytes are no integer")
        return int.from_bytes(data, "big", signed=kind is not Type.UNSIGNED)
    if kind is Type.FLOAT:
        return struct.unpack({4: ">f", 8: ">d"}[len(data)], data)[0]
    if kind is Type.OBJLNK:
        if len(data) != _LINK:
            raise ValueError(f"{len(data)} bytes are no object link")
        return "{}:{}".format(*struct.unpack(">HH", data))
    return data


_LARGEST_SHORT = 3.4028234663852886e38  # of a float of 32 bits


def _fits(value: int, width: int, *, signed: bool) -> bool:
    bits = width * 8
    return -(1 << bits - 1) <= value < 1 << bits - 1 if signed else 0 <= value < 1 << bits


def _finite(value: float) -> float | None:
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def _bytes(value: str) -> bytes | None:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None


def _link(value: str) -> tuple[int, int] | None:
    object_, _, instance = value.partition(":")
    if not (object_.isascii() and object_.isdigit() and instance.isascii() and instance.isdigit()):
        return None
    found = int(object_[:6]), int(instance[:6])
    return found if max(found) <= LARGEST + 1 else None
