"""SenML JSON and CBOR (RFC 8428; Core TS 1.1, 7.4.5), and the JSON of LwM2M 1.0."""

import base64
import struct
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from bridge.errors import RequestError
from bridge.lwm2m.paths import Path, read_path, shown


class Record(msgspec.Struct, omit_defaults=True):
    """A record of SenML, as far as LwM2M uses it."""

    bn: str = ""
    n: str = ""
    v: int | float | None = None
    vb: bool | None = None
    vs: str | None = None
    vd: str | None = None  # base64url without padding
    vlo: str | None = None  # an object link (Core TS 1.1, 7.4.5)


_LABELS = {-2: "bn", 0: "n", 2: "v", 3: "vs", 4: "vb", 8: "vd"}
"""Labels of CBOR (RFC 8428, table 4); an object link keeps its name."""


class _OldEntry(msgspec.Struct):
    n: str = ""
    v: int | float | None = None
    bv: bool | None = None
    sv: str | None = None
    ov: str | None = None


class _OldJson(msgspec.Struct):
    e: list[_OldEntry]
    bn: str = ""


def encode(values: Sequence[tuple[Path, Any, bool]]) -> bytes:
    """Return values as SenML JSON; the third of each says whether it is an object link."""
    return msgspec.json.encode([_record(path, value, is_link=is_link) for path, value, is_link in values])


def encode_cbor(values: Sequence[tuple[Path, Any, bool]]) -> bytes:
    """Return values as SenML CBOR (RFC 8428, 6), in the shortest form; numbers as `encode` does."""
    return _head(4, len(values)) + b"".join(_map(path, value, is_link=is_link) for path, value, is_link in values)


def _map(path: Path, value: Any, *, is_link: bool) -> bytes:
    if is_link:
        label = _text("vlo")
    elif isinstance(value, bool):
        label = _head(0, 4)
    elif isinstance(value, bytes):
        label = _head(0, 8)
    else:
        label = _head(0, 3 if isinstance(value, str) else 2)
    return _head(5, 2) + _head(0, 0) + _text(shown(path)) + label + _item(value)


def _item(value: Any) -> bytes:
    """Return a value in CBOR (RFC 8949); an integer has at most 64 bits, which `bridge.lwm2m.values` has checked."""
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, float):
        return b"\xfb" + struct.pack("!d", value)
    return _head(2, len(value)) + value if isinstance(value, bytes) else _text(value)


def _text(text: str) -> bytes:
    data = text.encode()
    return _head(3, len(data)) + data


def _head(major: int, number: int) -> bytes:
    """Return the beginning of a CBOR item: its major type and a number, in the shortest form."""
    if number < 24:  # noqa: PLR2004  # larger ones follow in 1, 2, 4 or 8 bytes
        return bytes((major << 5 | number,))
    size = next(power for power in range(4) if number < 1 << (8 << power))
    return bytes((major << 5 | 24 + size,)) + number.to_bytes(1 << size, "big")


def encode_names(paths: Iterable[Path]) -> bytes:
    """Return the payload of a Read-Composite (Core TS 1.1, 6.3.8)."""
    return msgspec.json.encode([Record(n=shown(path)) for path in paths])


def _record(path: Path, value: Any, *, is_link: bool) -> Record:
    name = shown(path)
    if isinstance(value, bool):
        return Record(n=name, vb=value)
    if isinstance(value, bytes):
        return Record(n=name, vd=base64.urlsafe_b64encode(value).rstrip(b"=").decode())
    if isinstance(value, int | float):
        return Record(n=name, v=value)
    return Record(n=name, vlo=value) if is_link else Record(n=name, vs=value)


def decode(data: bytes) -> list[tuple[Path, Any]]:
    """Return the values of an answer in SenML JSON. Raises ValueError."""
    return _values(_decoded(data, list[Record]))


def decode_cbor(data: bytes) -> list[tuple[Path, Any]]:
    """Return the values of an answer in SenML CBOR (RFC 8428, 6). Raises ValueError, also without the package cbor2."""
    try:
        import cbor2

        records = cbor2.loads(data)
        maps = [{_LABELS.get(label, str(label)): value for label, value in one.items()} for one in records]
        for one in maps:
            if isinstance(one.get("vd"), bytes):
                one["vd"] = base64.urlsafe_b64encode(one["vd"]).decode()
        return _values(msgspec.convert(maps, list[Record]))
    except Exception as error:  # whatever the bytes make of a library that reads anything
        raise ValueError(str(error)) from error


def _values(records: Iterable[Record]) -> list[tuple[Path, Any]]:
    found: list[tuple[Path, Any]] = []
    base = ""
    for one in records:
        base = one.bn or base
        values = one.v, one.vb, one.vs, one.vlo, None if one.vd is None else _bytes(one.vd)
        value = next((each for each in values if each is not None), None)
        if value is not None:
            found.append((_path(base + one.n), value))
    return found


def decode_old(data: bytes, path: Path) -> list[tuple[Path, Any]]:
    """Return the values of an answer about `path` in the JSON of LwM2M 1.0. Raises ValueError."""
    answer: _OldJson = _decoded(data, _OldJson)
    base = answer.bn or shown(path)
    found: list[tuple[Path, Any]] = []
    for one in answer.e:
        value = next((each for each in (one.v, one.bv, one.sv, one.ov) if each is not None), None)
        if value is not None:
            between = "/" if one.n and not base.endswith("/") else ""
            found.append((_path(base + between + one.n), value))
    return found


def _decoded(data: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
        raise ValueError(str(error)) from error


def _path(text: str) -> Path:
    try:
        return read_path(text)
    except RequestError as error:
        raise ValueError(str(error)) from error


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
