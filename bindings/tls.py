"""TLS contexts from PEM files; a file that cannot be used is named with its setting."""

import ssl

from bindings.pem_files import refuse_token
from bridge.errors import ConfigurationError


def client_context(section: str, ca_bundle: str, certificate: str = "", key: str = "") -> ssl.SSLContext:
    """Make the context of a client whose files are named in a section of the settings. Raises ConfigurationError."""
    try:
        context = ssl.create_default_context(cafile=ca_bundle or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"{section}.ca_bundle: cannot use {ca_bundle!r}: {error}") from error
    if certificate:
        _load_chain(context, certificate, key, f"{section}.client_certificate")
    return context


def server_context(certificate: str, key: str, client_ca: str) -> ssl.SSLContext | None:
    """Make the context of a listener for callbacks, None for plain HTTP. Raises ConfigurationError."""
    if not certificate:
        if client_ca:
            raise ConfigurationError(
                "callbacks.client_ca needs callbacks.certificate: without a certificate there is no TLS"
            )
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _load_chain(context, certificate, key, "callbacks.certificate")
    if client_ca:
        try:
            context.load_verify_locations(cafile=client_ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"callbacks.client_ca: cannot use {client_ca!r}: {error}") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _load_chain(context: ssl.SSLContext, certificate: str, key: str, setting: str) -> None:
    refuse_token(key or certificate, setting)
    try:
        context.load_cert_chain(certificate, key or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"{setting}: cannot use {certificate!r} with key {key!r}: {error}") from error
