"""What the ends of a DTLS session show of themselves, and how they know each other. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

TRUST_ANCHOR, DOMAIN_ISSUED = 2, 3
"""Certificate Usage, /0/x/15: the certificate of /0/x/4 has signed the server's, or is the server's own."""


@dataclass(frozen=True, slots=True)
class PreSharedKey:
    """A client's identity and key."""

    identity: str
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A client's certificate, and how it knows its server, as /0/x/3 to /0/x/5 and /0/x/15 hold them: all in DER."""

    certificate: bytes
    key: bytes = field(repr=False)
    server: bytes
    usage: int = TRUST_ANCHOR


@dataclass(frozen=True, slots=True)
class ServerByName:
    """What a client shows to one server: its certificate, and the name that the server's must be for."""

    own: ClientCertificate
    name: str


ClientCredentials = PreSharedKey | ServerByName


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """A server's certificate, and the authorities whose clients it takes: in DER."""

    certificate: bytes
    key: bytes = field(repr=False)
    authorities: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Proven:
    """Who a client has proven to be: its PSK identity, or the common name in its certificate."""

    name: str
    issuer: str | None = None
    """Common name of the authority that signed the certificate; None: there is none, but a key."""


def key_from(words: Mapping[str, str]) -> PreSharedKey:
    """Return the key that the words identity and key (hexadecimal) name; ValueError."""
    try:
        found = PreSharedKey(str(words["identity"]), bytes.fromhex(words["key"]))
    except (KeyError, TypeError, ValueError):
        raise ValueError("a pre-shared key needs identity, and key in hexadecimal") from None
    if not found.identity or "\0" in found.identity or not found.key:
        raise ValueError("a pre-shared key needs an identity without NUL, and a key")
    return found


def client_certificate_from(words: Mapping[str, str]) -> ClientCertificate:
    """Return what the words certificate, private_key and server (PEM), and usage if wanted, name; ValueError."""
    usage = words.get("usage", TRUST_ANCHOR)
    if usage not in {TRUST_ANCHOR, DOMAIN_ISSUED}:
        raise ValueError(f"usage is {TRUST_ANCHOR} (server has the authority) or {DOMAIN_ISSUED} (the server's own)")
    (server,) = _certificates(words, "server")[:1]
    return ClientCertificate(_certificates(words, "certificate")[0], _private_key(words), server, int(usage))


def server_certificate_from(words: Mapping[str, str]) -> ServerCertificate:
    """Return what the words certificate, private_key and authorities (PEM) name; ValueError."""
    return ServerCertificate(
        _certificates(words, "certificate")[0], _private_key(words), tuple(_certificates(words, "authorities"))
    )


def _certificates(words: Mapping[str, str], name: str) -> list[bytes]:
    try:
        found = x509.load_pem_x509_certificates(words[name].encode())
    except (KeyError, AttributeError, ValueError):
        raise ValueError(f"{name} is one certificate or several in PEM") from None
    return [one.public_bytes(Encoding.DER) for one in found]


def _private_key(words: Mapping[str, str]) -> bytes:
    try:
        key = load_pem_private_key(words["private_key"].encode(), None)
    except (KeyError, AttributeError, ValueError, TypeError):
        raise ValueError("private_key is a private key in PEM without a passphrase") from None
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
