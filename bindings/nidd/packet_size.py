"""maximumPacketSize: bits by TS 29.122 in every release, bytes at some SCEFs; never guessed silently."""

import logging

log = logging.getLogger(__name__)

_FLOOR_BITS = 1024  # 128 octets: the minimum that a Non-IP network must allow (TS 23.501 §5.6.10.4)
FLOOR = _FLOOR_BITS // 8  # bytes
_LOOKS_LIKE_BYTES = {1280, 1358, 1500, 2000}  # sizes that are typical in bytes
_CEILING_BYTES = 2500  # more than any known SCEF allows: a value in "bytes" is probably in bits


def packet_bytes(size: int, unit: str) -> int:
    """Return the bytes that a maximumPacketSize allows; 0 if unknown."""
    return size // 8 if unit == "bits" else size


def unit_warning(size: int, unit: str) -> str | None:
    """Return a warning, with the cure, if a maximumPacketSize is implausible in this unit; else None."""
    if size <= 0:
        return None
    if unit == "bits" and (size < _FLOOR_BITS or size in _LOOKS_LIKE_BYTES):
        return (
            f"maximumPacketSize {size}, read as bits, is {size // 8} bytes; it looks like bytes. If the SCEF means "
            "bytes, set downlinks.packet_size_unit to bytes"
        )
    if unit == "bytes" and size > _CEILING_BYTES:
        return (
            f"maximumPacketSize {size}, read as bytes, is more than any known SCEF allows; it looks like bits. "
            "Set downlinks.packet_size_unit to bits"
        )
    return None
