"""OMA LwM2M TLV, content format 11542 (Core TS 1.1 §7.4.3)."""

import enum
import struct
from collections.abc import Iterable, Iterator
from itertools import groupby

from mock_network.lwm2m.paths import INSTANCE_LEVEL, OBJECT_LEVEL, RESOURCE_INSTANCE_LEVEL, RESOURCE_LEVEL, Path
from mock_network.lwm2m.values import INTEGERS, TEXTS, DataType, FormatError, ObjectLink, Record, TypeOf, Value


class Kind(enum.IntEnum):
    """Bits 7-6 of the type byte: what the identifier names."""

    OBJECT_INSTANCE = 0
    RESOURCE_INSTANCE = 1
    MULTIPLE_RESOURCE = 2
    RESOURCE = 3


_WIDE_IDENTIFIER = 0x20  # bit 5: the identifier has 16 bits
_LENGTH_IN_TYPE_MAX = 7  # bits 2-0 hold lengths up to this
_MAX_LENGTH = (1 << 24) - 1
_INTEGER_WIDTHS = (1, 2, 4, 8)  # Appendix C: an integer has 8, 16, 32 or 64 bits


def encode_value(value: Value, data_type: DataType) -> bytes:
    """Return the value field for a value of this type, integers in the fewest bytes (Appendix C, TLV column)."""
    if data_type in TEXTS and isinstance(value, str):
        return value.encode()
    if data_type is DataType.BOOLEAN:
        return b"\x01" if value else b"\x00"
    if data_type in INTEGERS and isinstance(value, int):
        signed = data_type is not DataType.UNSIGNED
        for width in _INTEGER_WIDTHS:
            bits = 8 * width - (1 if signed else 0)
            if -(1 << bits if signed else 0) <= value < 1 << bits:
                return value.to_bytes(width, "big", signed=signed)
    if data_type is DataType.FLOAT and isinstance(value, int | float):
        try:
            single = struct.pack(">f", value)
        except OverflowError:
            return struct.pack(">d", value)
        return single if struct.unpack(">f", single)[0] == value else struct.pack(">d", value)
    if data_type is DataType.OPAQUE and isinstance(value, bytes):
        return value
    if data_type is DataType.OBJLNK and isinstance(value, ObjectLink):
        return struct.pack(">HH", *value)
    raise FormatError(f"{value!r} does not fit a resource of type {data_type.value}")


def decode_value(raw: bytes, data_type: DataType) -> Value:
    """Return the value in a value field. Raises FormatError if it is none of this type."""
    if data_type in TEXTS:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise FormatError("a string that is not UTF-8") from None
    if data_type is DataType.OPAQUE:
        return raw
    if data_type in INTEGERS and len(raw) in _INTEGER_WIDTHS:
        return int.from_bytes(raw, "big", signed=data_type is not DataType.UNSIGNED)
    if data_type is DataType.FLOAT and len(raw) in {4, 8}:
        return float(struct.unpack(">f" if len(raw) == 4 else ">d", raw)[0])  # noqa: PLR2004 IEEE 754 binary32 or 64
    if data_type is DataType.BOOLEAN and raw in {b"\x00", b"\x01"}:
        return raw == b"\x01"
    if data_type is DataType.OBJLNK and len(raw) == 4:  # noqa: PLR2004 two 16-bit identifiers
        return ObjectLink(*struct.unpack(">HH", raw))
    raise FormatError(f"{len(raw)} bytes do not make a value of type {data_type.value}")


def pack(kind: Kind, identifier: int, value: bytes) -> bytes:
    """Return one TLV entry."""
    if len(value) > _MAX_LENGTH:
        raise FormatError("longer than a TLV length can say")
    type_byte = kind << 6 | (_WIDE_IDENTIFIER if identifier > 0xFF else 0)  # noqa: PLR2004 one byte
    name = identifier.to_bytes(2 if type_byte & _WIDE_IDENTIFIER else 1, "big")
    if len(value) <= _LENGTH_IN_TYPE_MAX:
        return bytes([type_byte | len(value)]) + name + value
    width = (len(value).bit_length() + 7) // 8
    return bytes([type_byte | width << 3]) + name + len(value).to_bytes(width, "big") + value


def unpack(payload: bytes) -> Iterator[tuple[Kind, int, bytes]]:
    """Yield kind, identifier and value of each entry in turn; FormatError when the bytes end early."""
    position = 0
    while position < len(payload):
        type_byte = payload[position]
        name_width = 2 if type_byte & _WIDE_IDENTIFIER else 1
        length_width = type_byte >> 3 & 3
        start = position + 1 + name_width + length_width
        length = type_byte & 7
        if length_width:
            length = int.from_bytes(payload[position + 1 + name_width : start], "big")
        if start + length > len(payload):
            raise FormatError("TLV ends before its value does")
        identifier = int.from_bytes(payload[position + 1 : position + 1 + name_width], "big")
        yield Kind(type_byte >> 6), identifier, payload[start : start + length]
        position = start + length


def _resource(records: list[Record], type_of: TypeOf) -> bytes:
    """Return a RESOURCE entry, or a MULTIPLE_RESOURCE entry with its instances."""
    identifier = records[0].path[2]
    if len(records[0].path) == RESOURCE_LEVEL:
        return pack(Kind.RESOURCE, identifier, _value(records[0], type_of))
    instances = b"".join(pack(Kind.RESOURCE_INSTANCE, record.path[3], _value(record, type_of)) for record in records)
    return pack(Kind.MULTIPLE_RESOURCE, identifier, instances)


def _value(record: Record, type_of: TypeOf) -> bytes:
    data_type = type_of(record.path)
    if data_type is None or record.value is None:
        raise FormatError(f"no value to write for {record.path}")
    return encode_value(record.value, data_type)


def _instance(records: Iterable[Record], type_of: TypeOf) -> bytes:
    return b"".join(_resource(list(group), type_of) for _, group in groupby(records, key=lambda record: record.path[2]))


def encode(base: Path, records: Iterable[Record], type_of: TypeOf, *, instances: Iterable[Path] = ()) -> bytes:
    """Return the payload for `base`: an object (entries for instances), object instance, resource or resource instance.

    `instances` names object instances that are to appear even if they hold no resource.
    """
    ordered = sorted(records, key=lambda record: record.path)
    if len(base) == OBJECT_LEVEL:
        grouped: dict[int, list[Record]] = {path[1]: [] for path in instances}
        for record in ordered:
            grouped.setdefault(record.path[1], []).append(record)
        return b"".join(pack(Kind.OBJECT_INSTANCE, key, _instance(grouped[key], type_of)) for key in sorted(grouped))
    if len(base) == RESOURCE_INSTANCE_LEVEL:
        return b"".join(pack(Kind.RESOURCE_INSTANCE, record.path[3], _value(record, type_of)) for record in ordered)
    return _instance(ordered, type_of)


def decode(base: Path, payload: bytes, type_of: TypeOf) -> list[Record]:
    """Return the values in a payload for `base`. Raises FormatError if an entry does not belong there.

    Resources that `type_of` does not know are skipped, as §7.4.3 foresees.
    """
    records: list[Record] = []
    for kind, identifier, value in unpack(payload):
        if kind is Kind.OBJECT_INSTANCE:
            # The wrapper is optional where one object instance is meant (§7.4.3.1).
            if len(base) == INSTANCE_LEVEL and identifier != base[1]:
                raise FormatError(f"instance {identifier} in a payload for instance {base[1]}")
            if len(base) > INSTANCE_LEVEL:
                raise FormatError("object instance in a payload for a resource")
            for inner in unpack(value):
                records += _decode_resource((*base[:1], identifier), inner, type_of)
        elif kind is Kind.RESOURCE_INSTANCE:
            if len(base) < RESOURCE_LEVEL:
                raise FormatError("resource instance outside a resource")
            if len(base) == RESOURCE_INSTANCE_LEVEL and identifier != base[3]:
                raise FormatError(f"resource instance {identifier} in a payload for {base[3]}")
            data_type = type_of(base[:3])
            if data_type is not None:
                records.append(Record((*base[:3], identifier), decode_value(value, data_type)))
        else:
            # POST on an object without an instance wrapper leaves the instance id to the client (§6.3.8): -1 here.
            owner = base[:2] if len(base) >= INSTANCE_LEVEL else (*base, UNNAMED_INSTANCE)
            if len(base) >= RESOURCE_LEVEL and identifier != base[2]:
                raise FormatError(f"resource {identifier} in a payload for resource {base[2]}")
            records += _decode_resource(owner, (kind, identifier, value), type_of)
    return records


UNNAMED_INSTANCE = -1
"""Stands for the instance id in records of a Create that lets the client choose it."""


def _decode_resource(owner: Path, entry: tuple[Kind, int, bytes], type_of: TypeOf) -> list[Record]:
    kind, identifier, value = entry
    path = (*owner, identifier)
    data_type = type_of(path)
    if kind not in {Kind.RESOURCE, Kind.MULTIPLE_RESOURCE}:
        raise FormatError("an object instance holds resources only")
    if data_type is None:
        return []
    if kind is Kind.RESOURCE:
        return [Record(path, decode_value(value, data_type))]
    records = []
    for inner_kind, inner_identifier, inner_value in unpack(value):
        if inner_kind is not Kind.RESOURCE_INSTANCE:
            raise FormatError("a multiple resource holds resource instances only")
        records.append(Record((*path, inner_identifier), decode_value(inner_value, data_type)))
    return records
