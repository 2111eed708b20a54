"""Reads a peer's JSON as far as possible: of older or newer releases, or with departures from the standard."""

import base64
import binascii
from codecs import BOM_UTF8
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

import msgspec

UNREADABLE = (ValueError, RecursionError)
"""The decoder's exceptions: for bytes that are not such JSON, and for JSON that is nested too deeply."""

_Body = TypeVar("_Body", bound=msgspec.Struct)


def read_json(body: bytes) -> Any:
    """Return the JSON value of a body; None if it is not JSON. A byte order mark may be ignored (RFC 8259 §8.1)."""
    try:
        return msgspec.json.decode(body.removeprefix(BOM_UTF8))
    except UNREADABLE:
        return None


@cache
def _decoder(kind: type[_Body]) -> msgspec.json.Decoder[_Body]:
    return msgspec.json.Decoder(kind)


def read_tolerant(body: bytes, kind: type[_Body]) -> _Body:
    """Return an answer's object. A member of the wrong type counts as absent; an unreadable body has no members.

    Every member of `kind` must have a default.
    """
    try:
        found: _Body = _decoder(kind).decode(body)
    except UNREADABLE:
        return pick(read_json(body), kind)
    return found


def read_tolerant_list(body: bytes, kind: type[_Body]) -> list[_Body] | None:
    """Return an answer's array in the same way; None if it is not one. A single object counts as an array of one."""
    raw = read_json(body)
    if isinstance(raw, dict):
        raw = [raw]
    return [pick(item, kind) for item in raw] if isinstance(raw, list) else None


def pick(raw: object, kind: type[_Body]) -> _Body:
    """Return an object converted member by member, without members that do not fit."""
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
    """Return decoded base64, also without padding, URL-safe, or with line breaks; None if it is not base64."""
    if not isinstance(text, str):
        return None
    plain = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def explained(value: str, words: Mapping[str, str]) -> str:
    """Return a value of an enumeration in words, the value itself in parentheses; as it is if it has no words."""
    known = words.get(value)
    return value[:100] if known is None else f"{known} ({value})"
