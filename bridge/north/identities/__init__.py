"""Identities and credentials of endpoints toward servers with DTLS or TLS."""

from bridge.north.identities.contract import EndpointNames, KeySource
from bridge.north.identities.files import CertificateFiles, KeyTable
from bridge.north.identities.psk import DerivedKeys, SharedKey, check_key, identity_of
from bridge.north.identities.token import TokenKeys, read_token_uri

__all__ = [
    "CertificateFiles",
    "DerivedKeys",
    "EndpointNames",
    "KeySource",
    "KeyTable",
    "SharedKey",
    "TokenKeys",
    "check_key",
    "identity_of",
    "read_token_uri",
]
