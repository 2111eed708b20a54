"""Identities and credentials of endpoints toward servers with DTLS or TLS."""

from bridge.north.identities.contract import KeySource, Who
from bridge.north.identities.files import CertificateFiles, KeyTable
from bridge.north.identities.psk import DerivedKeys, SharedKey, check_key, identity_of
from bridge.north.identities.token import TokenKeys, read_token_uri

__all__ = [
    "CertificateFiles",
    "DerivedKeys",
    "KeySource",
    "KeyTable",
    "SharedKey",
    "TokenKeys",
    "Who",
    "check_key",
    "identity_of",
    "read_token_uri",
]
