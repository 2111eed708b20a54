"""Content codings of requests (RFC 9110 §8.4): gzip is decoded, others are refused with 415."""

import zlib

from bridge.errors import NotificationError

ACCEPTED = "gzip, identity"
"""For the Accept-Encoding of a 415 (RFC 9110 §12.5.3)."""

_GZIP = {"gzip", "x-gzip"}  # RFC 9110 §8.4.1.3
_MEMBERS = 8  # RFC 1952 §2.2: what is coded in parts is one after the other
_WINDOW = 16 + zlib.MAX_WBITS  # zlib's value for gzip


def _codings(header: str) -> list[str]:
    names = [name.strip().lower() for name in header.split(",")]
    return [name for name in names if name and name != "identity"]


def is_known(header: str) -> bool:
    """Return whether a Content-Encoding can be undone."""
    codings = _codings(header)
    return not codings or (len(codings) == 1 and codings[0] in _GZIP)


def decoded(header: str, body: bytes, limit: int) -> bytes:
    """Return a body without its coding, which must be known. Raises NotificationError; 413 for more than `limit`."""
    if not _codings(header):
        return body
    plain, rest = b"", body
    for _ in range(_MEMBERS):
        inflater = zlib.decompressobj(_WINDOW)
        try:
            plain += inflater.decompress(rest, limit + 1 - len(plain))
        except zlib.error as error:
            raise NotificationError(f"the body is not gzip: {error}") from error
        if len(plain) > limit:
            raise NotificationError("the body is too large", 413)
        if not inflater.eof:
            raise NotificationError("the body is incomplete gzip")
        rest = inflater.unused_data.lstrip(b"\0")  # padding, as gzip takes it
        if not rest:
            return plain
    raise NotificationError(f"the body has more than {_MEMBERS} members of gzip")
