"""The JSON of LwM2M 1.0, content format 11543 (Core TS 1.0 §6.4.4), which 1.1 servers may still ask for."""

import base64
import binascii
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

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


def encode(base: Path, records: Iterable[Record], type_of: TypeOf) -> bytes:
    """Return the object with `base` as base name and one entry for each record."""
    entries = []
    names = [("/".join(str(identifier) for identifier in record.path[len(base) :]), record) for record in records]
    for name, record in names:
        entry: dict[str, Any] = {}
        if name or not base:
            entry["n"] = name
        if record.time is not None:
            entry["t"] = record.time
        if record.value is not None:
            label, value = _encode_value(record.value, type_of(record.path))
            entry[label] = value
        entries.append(entry)
    below = not names or any(name for name, _ in names)
    bn = (format_path(base) if base else "") + ("/" if below else "")
    return json.dumps({"bn": bn, "e": entries}, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _encode_value(value: Value, data_type: DataType | None) -> tuple[str, Any]:
    if data_type is None or data_type is DataType.NONE:
        raise FormatError("a value for a resource that has none")
    value = check(value, data_type)
    if isinstance(value, bytes):
        return "sv", base64.b64encode(value).decode()
    if isinstance(value, bool):
        return "bv", value
    if data_type is DataType.OBJLNK:
        return "ov", str(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise FormatError("JSON numbers are finite")
    return ("sv" if data_type in TEXTS else "v"), value


def decode(payload: bytes, type_of: TypeOf, root: str = "") -> list[Record]:
    """Return the records of an LwM2M JSON object, whose names may begin with `root`; FormatError otherwise."""
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not JSON: {error}") from None
    if not isinstance(body, dict) or not isinstance(body.get("e"), list):
        raise FormatError("LwM2M JSON is an object with an array e")
    records = []
    for entry in body["e"]:
        if not isinstance(entry, dict):
            raise FormatError("an entry of LwM2M JSON is an object")
        bn, name = body.get("bn", ""), entry.get("n", "")
        if not isinstance(bn, str) or not isinstance(name, str):
            raise FormatError("a name is a string")
        try:
            path = parse_path((bn + name).removeprefix(root).rstrip("/") or "/")
        except PathError as error:
            raise FormatError(str(error)) from None
        data_type = type_of(path)
        if data_type is not None:
            records.append(Record(path, _decode_value(entry, data_type), _time(body, entry)))
    return records


def _time(body: Mapping[str, Any], entry: Mapping[str, Any]) -> float | None:
    times = [source[key] for source, key in ((body, "bt"), (entry, "t")) if source.get(key) is not None]
    if any(isinstance(time, bool) or not isinstance(time, int | float) for time in times):
        raise FormatError("a time is a number")
    return sum(times) if times else None


def _decode_value(entry: Mapping[str, Any], data_type: DataType) -> Value:
    if data_type is DataType.OPAQUE and isinstance(entry.get("sv"), str):
        try:
            return base64.b64decode(entry["sv"], validate=True)
        except (binascii.Error, ValueError):
            raise FormatError("sv is not base64") from None
    if data_type is DataType.OBJLNK and isinstance(entry.get("ov"), str):
        return parse_object_link(entry["ov"])
    if data_type in TEXTS:
        label = "sv"
    elif data_type is DataType.BOOLEAN:
        label = "bv"
    else:
        label = "v" if data_type in INTEGERS or data_type is DataType.FLOAT else ""
    if label not in entry:
        raise FormatError(f"no value for a resource of type {data_type.value}")
    return check(entry[label], data_type)
