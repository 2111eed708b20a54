"""Credentials of an endpoint toward a server."""

from dataclasses import dataclass, field

MAX_IDENTITY = 128  # bytes of a PSK identity that implementations must support (RFC 4279 §5.3)
MAX_KEY = 64  # bytes of a pre-shared key that implementations must support (RFC 4279 §5.3)


@dataclass(frozen=True, slots=True)
class PreSharedKey:
    """A PSK identity, without NUL bytes, and its key (RFC 4279)."""

    identity: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CertificateKey:
    """A certificate with those between it and its authority, the endpoint's own first, and the private key; PEM."""

    chain: bytes
    key: bytes = field(repr=False)


Credentials = PreSharedKey | CertificateKey
