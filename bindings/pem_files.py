"""Settings that name PEM files. A reload sees a changed content under the same name, since each is marked as a file."""

from typing import Annotated

from msgspec import Meta

from bridge.errors import ConfigurationError

CaBundle = Annotated[
    str, Meta(description="PEM file of the authorities to trust; empty: the system's", extra={"file": True})
]
ClientCertificate = Annotated[
    str, Meta(description="PEM file of the client certificate for mutual TLS", extra={"file": True})
]
CertificateKey = Annotated[
    str, Meta(description="PEM file of its key; empty: in the certificate's file", extra={"file": True})
]


def refuse_token(key: str, setting: str) -> None:
    """Raise ConfigurationError for the URI of a key in a PKCS #11 token, which no library here can sign with."""
    if "pkcs11:" in key.lower():  # perhaps behind the directory of the configuration
        raise ConfigurationError(
            f"{setting}: the private key of a certificate cannot be in a PKCS #11 token, since neither Python's ssl "
            "nor pyOpenSSL can sign a handshake with such a key; name a PEM file. Pre-shared keys can be derived in a "
            'token: key_from = "pkcs11"'
        )
