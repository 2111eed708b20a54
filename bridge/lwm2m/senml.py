"""SenML JSON and CBOR (RFC 8428; Core TS 1.1, 7.4.5), and the JSON of LwM2M 1.0."""

import base64
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
