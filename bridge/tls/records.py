"""Splits consecutive DTLS records, as libraries write them, into datagrams."""

HEADER = 13  # bytes of a DTLS 1.2 record header (RFC 6347 §4.1)
CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION = 20, 21, 22, 23  # content types


def datagrams(data: bytes, mtu: int) -> list[bytes]:
    """Return whole records as datagrams: each has as many as fit `mtu` bytes; a larger record is alone."""
    out: list[bytes] = []
    begin = at = 0
    while at < len(data):
        end = at + HEADER + int.from_bytes(data[at + 11 : at + HEADER], "big")
        if end - begin > mtu and at > begin:
            out.append(data[begin:at])
            begin = at
        at = end
    if begin < len(data):
        out.append(data[begin:])
    return out


def types(data: bytes) -> set[int]:
    """Return the content types of the records in `data`."""
    return {record[0] for record in split(data)}


def split(data: bytes) -> list[bytes]:
    """Return the records of a datagram; an incomplete one at its end is the last."""
    found: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + HEADER + int.from_bytes(data[at + 11 : at + HEADER], "big")
        found.append(data[at:end])
        at = end
    return found
