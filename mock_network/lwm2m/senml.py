"""SenML JSON (110) and SenML CBOR (112) as LwM2M uses them (RFC 8428; Core TS 1.1 §7.4.4, §7.4.5)."""

import base64
import binascii
import io
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import cbor2

from mock_network.lwm2m.paths import Path, PathError, format_path, parse_path
from mock_network.lwm2m.values import (
    INTEGERS,
    TEXTS,
    DataType,
    FormatError,
    Record,
    TypeOf,
    Value,
    check,
    parse_object_link,
)

# RFC 8428 table 4: labels of the JSON form and their integers in the CBOR form. "vlo" is LwM2M's own (§7.4.4).
CBOR_LABELS = {
    "bver": -1,
    "bn": -2,
    "bt": -3,
    "bu": -4,
    "bv": -5,
    "bs": -6,
    "n": 0,
    "u": 1,
    "v": 2,
    "vs": 3,
    "vb": 4,
    "s": 5,
    "t": 6,
    "ut": 7,
    "vd": 8,
}
_JSON_LABELS = {number: label for label, number in CBOR_LABELS.items()}


def encode_json(base: Path, records: Iterable[Record], type_of: TypeOf, root: str = "") -> bytes:
    """Return a SenML JSON pack with `base` as base name; names begin with `root`."""
    pack = _pack(base, records, type_of, root)
    for entry in pack:
        if "vd" in entry:
            entry["vd"] = base64.urlsafe_b64encode(entry["vd"]).rstrip(b"=").decode()
    return json.dumps(pack, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def encode_cbor(base: Path, records: Iterable[Record], type_of: TypeOf, root: str = "") -> bytes:
    """Return a SenML CBOR pack with `base` as base name; names begin with `root`."""
    pack = [
        {CBOR_LABELS.get(label, label): value for label, value in entry.items()}
        for entry in _pack(base, records, type_of, root)
    ]
    return cbor2.dumps(pack)


def _pack(base: Path, records: Iterable[Record], type_of: TypeOf, root: str) -> list[dict[str, Any]]:
    pack: list[dict[str, Any]] = []
    base_time: float | None = None
    for record in records:
        entry: dict[str, Any] = {}
        name = "/".join(str(identifier) for identifier in record.path[len(base) :])
        if not pack and base:
            # A resource has the whole path as base name and no name: bn "/3/0/9"; a level above ends in "/".
            entry["bn"] = root + format_path(base) + ("/" if name else "")
        if not base:
            name = root + format_path(record.path)
        if record.time is not None and base_time is None:
            base_time = entry["bt"] = record.time
        if name:
            entry["n"] = name
        if record.time is not None and record.time != base_time:
            entry["t"] = record.time - (base_time or 0)
        if record.value is not None:
            label, value = _encode_value(record.value, type_of(record.path))
            entry[label] = value
        pack.append(entry)
    return pack


def _encode_value(value: Value, data_type: DataType | None) -> tuple[str, Any]:
    if data_type is None or data_type is DataType.NONE:
        raise FormatError("a value for a resource that has none")
    value = check(value, data_type)
    if data_type in TEXTS:
        return "vs", value
    if data_type is DataType.BOOLEAN:
        return "vb", value
    if data_type is DataType.OPAQUE:
        return "vd", value
    if data_type is DataType.OBJLNK:
        return "vlo", str(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise FormatError("SenML numbers are finite")
    return "v", value


def decode_json(payload: bytes, type_of: TypeOf, root: str = "") -> list[Record]:
    """Return the records of a SenML JSON pack, whose names may begin with `root`; FormatError otherwise."""
    try:
        pack = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not JSON: {error}") from None
    return _records(pack, type_of, root)


def decode_cbor(payload: bytes, type_of: TypeOf, root: str = "") -> list[Record]:
    """Return the records of a SenML CBOR pack, whose names may begin with `root`; FormatError otherwise."""
    pack = load_cbor(payload)
    if isinstance(pack, list):
        pack = [
            {_JSON_LABELS.get(label, label): value for label, value in entry.items()}
            if isinstance(entry, Mapping)
            else entry
            for entry in pack
        ]
    return _records(pack, type_of, root)


def load_cbor(payload: bytes) -> Any:
    """Return the one CBOR item that the payload is. Raises FormatError for malformed bytes or bytes left over."""
    stream = io.BytesIO(payload)
    try:
        item = cbor2.CBORDecoder(stream).decode()
    except Exception as error:  # noqa: BLE001 cbor2 lets errors of tag decoders through, of any kind
        raise FormatError(f"not CBOR: {error}") from None
    if stream.tell() != len(payload):
        raise FormatError("bytes after the CBOR item")
    return item


def _records(pack: Any, type_of: TypeOf, root: str) -> list[Record]:
    if not isinstance(pack, list):
        raise FormatError("a SenML pack is an array")
    records = []
    base_name, base_time = "", None
    for entry in pack:
        if not isinstance(entry, dict):
            raise FormatError("a SenML record is a map")
        unknown = [label for label in entry if isinstance(label, str) and label.endswith("_")]
        if unknown:
            raise FormatError(f"must-understand field {unknown[0][:20]!r}")  # RFC 8428 §4.4
        base_name = entry.get("bn", base_name)
        base_time = _number(entry.get("bt", base_time))
        name = entry.get("n", "")
        if not isinstance(base_name, str) or not isinstance(name, str):
            raise FormatError("a SenML name is a string")
        try:
            path = parse_path((base_name + name).removeprefix(root).rstrip("/") or "/")
        except PathError as error:
            raise FormatError(str(error)) from None
        time = _number(entry.get("t"))
        if time is not None or base_time is not None:
            time = (time or 0) + (base_time or 0)
        if not {"v", "vs", "vb", "vd", "vlo"} & entry.keys():
            records.append(Record(path, None, time))
            continue
        data_type = type_of(path)
        if data_type is not None:
            records.append(Record(path, _decode_value(entry, data_type), time))
    return records


def _number(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FormatError("a SenML time is a number")
    return value


def _decode_value(entry: Mapping[str, Any], data_type: DataType) -> Value:
    if data_type is DataType.OPAQUE and "vd" in entry:
        data = entry["vd"]
        if isinstance(data, str):
            try:
                data = base64.b64decode(data + "=" * (-len(data) % 4), altchars=b"-_", validate=True)
            except (binascii.Error, ValueError):
                raise FormatError("vd is not base64url") from None
        return check(data, data_type)
    if data_type is DataType.OBJLNK and isinstance(entry.get("vlo"), str):
        return parse_object_link(entry["vlo"])
    if data_type in TEXTS:
        label = "vs"
    elif data_type is DataType.BOOLEAN:
        label = "vb"
    elif data_type in INTEGERS or data_type is DataType.FLOAT:
        label = "v"
    else:
        label = ""
    if label not in entry:
        raise FormatError(f"no value for a resource of type {data_type.value}")
    return check(entry[label], data_type)
