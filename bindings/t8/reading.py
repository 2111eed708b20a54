"""The JSON of a peer, read as far as it can be: of a SCEF a release older or newer, or a little off the standard."""

import base64
import binascii
from codecs import BOM_UTF8
from typing import Any, TypeVar

import msgspec

UNREADABLE = (ValueError, RecursionError)
"""What the decoder raises: for bytes that are no such JSON, and for JSON that is nested too deep."""

_Body = TypeVar("_Body", bound=msgspec.Struct)


def read_json(body: bytes) -> Any:
    """Return the JSON value of a body; None if it is none. A byte order mark may be ignored (RFC 8259 §8.1)."""
    try:
        return msgspec.json.decode(body.removeprefix(BOM_UTF8))
    except UNREADABLE:
        return None


def read_tolerant(body: bytes, kind: type[_Body]) -> _Body:
    """Return an answer's object. A member of the wrong type is as if absent; an unreadable body has no members.

    Every member of `kind` must have a default.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE:
        pass
    return pick(read_json(body), kind)


def read_tolerant_list(body: bytes, kind: type[_Body]) -> list[_Body] | None:
    """Return an answer's array in the same way; None if it is none. A bare object counts as an array of one."""
    raw = read_json(body)
    if isinstance(raw, dict):
        raw = [raw]
    return [pick(item, kind) for item in raw] if isinstance(raw, list) else None


def pick(raw: object, kind: type[_Body]) -> _Body:
    """Return an object converted member by member, without what does not fit."""
    result = kind()
    if isinstance(raw, dict):
        for name in kind.__struct_fields__:
            if name in raw:
                try:
                    setattr(result, name, getattr(msgspec.convert({name: raw[name]}, kind, strict=False), name))
                except msgspec.ValidationError:
                    continue
    return result


def decode_data(text: object) -> bytes | None:
    """Return what base64 stands for as the field writes it: without padding, URL-safe, with line breaks; else None."""
    if not isinstance(text, str):
        return None
    plain = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
