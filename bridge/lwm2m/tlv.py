"""TLV, `application/vnd.oma.lwm2m+tlv` (Core TS 1.1, 7.4.4)."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from bridge.lwm2m.paths import INSTANCE, RESOURCE, RESOURCE_INSTANCE, Path

_OF_INSTANCE, _OF_RESOURCE_INSTANCE, _OF_SEVERAL, _OF_RESOURCE = range(4)  # what an entry is: its two highest bits
_LONG_ID = 0x20
_SHORT = 7  # bytes that fit the head itself


def encode(values: Sequence[tuple[Path, bytes]], base: Path) -> bytes:
    """Return values of resources below `base` as TLV, in the order of their paths."""
    depth = len(base)
    ordered = sorted(values)
    if depth < INSTANCE:
        return b"".join(
            _entry(_OF_INSTANCE, path[0], _resources(list(of_instance)))
            for path, of_instance in groupby(ordered, key=lambda one: one[0][1:INSTANCE])
        )
    return _resources(ordered)


def _resources(values: Sequence[tuple[Path, bytes]]) -> bytes:
    out = b""
    for resource, group in groupby(values, key=lambda one: one[0][RESOURCE - 1]):
        several = list(group)
        if len(several[0][0]) >= RESOURCE_INSTANCE:
            inner = b"".join(_entry(_OF_RESOURCE_INSTANCE, path[3], value) for path, value in several)
            out += _entry(_OF_SEVERAL, resource, inner)
        else:
            out += _entry(_OF_RESOURCE, resource, several[0][1])
    return out


def _entry(kind: int, id_: int, value: bytes) -> bytes:
    size = len(value)
    head = kind << 6 | (_LONG_ID if id_ > 0xFF else 0)  # noqa: PLR2004
    id_bytes = id_.to_bytes(2 if id_ > 0xFF else 1, "big")  # noqa: PLR2004
    if size <= _SHORT:
        return bytes((head | size,)) + id_bytes + value
    width = (size.bit_length() + 7) // 8
    return bytes((head | width << 3,)) + id_bytes + size.to_bytes(width, "big") + value


def decode(data: bytes, base: Path) -> list[tuple[Path, bytes]]:
    """Return the values of resources in an answer about `base`. Raises ValueError."""
    found: list[tuple[Path, bytes]] = []
    for kind, id_, value in _entries(data):
        if kind == _OF_INSTANCE:
            path = _below(base, INSTANCE, id_)
            for inner_kind, inner_id, inner in _entries(value):
                found += _resource(inner_kind, inner_id, inner, path)
        else:
            found += _resource(kind, id_, value, base)
    return found


def _resource(kind: int, id_: int, value: bytes, base: Path) -> Iterator[tuple[Path, bytes]]:
    if kind == _OF_INSTANCE:
        raise ValueError("an object instance inside of another one")
    if kind == _OF_SEVERAL:
        path = _below(base, RESOURCE, id_)
        yield from ((_below(path, RESOURCE_INSTANCE, inner), part) for _, inner, part in _entries(value))
    else:
        yield _below(base, RESOURCE_INSTANCE if kind == _OF_RESOURCE_INSTANCE else RESOURCE, id_), value


def _below(base: Path, depth: int, id_: int) -> Path:
    """Return the path of an id at a depth, in what an answer about `base` says."""
    above = base[: depth - 1]
    if len(above) < depth - 1:
        raise ValueError("an entry without what it belongs to")
    return (*above, id_)


def _entries(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at < len(data):
        head = data[at]
        id_end = at + (3 if head & _LONG_ID else 2)
        width = head >> 3 & 3
        begin = id_end + width
        size = int.from_bytes(data[id_end:begin], "big") if width else head & _SHORT
        if begin + size > len(data) or begin > len(data):
            raise ValueError("an entry is cut off")
        yield head >> 6, int.from_bytes(data[at + 1 : id_end], "big"), data[begin : begin + size]
        at = begin + size
