"""Reads what an OSCORE message shows of its security context: the kid in the OSCORE option (RFC 8613 §6.1).

The option is not authentic before the other end has verified the message: a kid says which context the sender names,
and proves nothing.
"""

_RESERVED = 0b1110_0000
_KID_CONTEXT = 0b0001_0000  # flag h
_KID = 0b0000_1000  # flag k
_PARTIAL_IV = 0b0000_0111  # its length; 6 and 7 are reserved
_LONGEST_PARTIAL_IV = 5  # bytes

LONGEST_KID = 7
"""Bytes of the longest Sender ID: the nonce has 13 bytes, of which the context needs six (RFC 8613 §3.3)."""


def kid_of(value: bytes) -> bytes | None:
    """Return the kid in the value of an OSCORE option; None if it has none or breaks RFC 8613 §6.1."""
    if not value:
        return None
    flags = value[0]
    partial_iv = flags & _PARTIAL_IV
    if flags & _RESERVED or partial_iv > _LONGEST_PARTIAL_IV or not flags & _KID:
        return None
    at = 1 + partial_iv
    if flags & _KID_CONTEXT:
        if at >= len(value):
            return None
        at += 1 + value[at]
    return value[at:] if at <= len(value) else None
