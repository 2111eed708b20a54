"""Checks a server's certificate with OpenSSL, and explains a refusal."""

import ipaddress
from typing import Any

from cryptography import x509
from cryptography.hazmat.bindings.openssl.binding import Binding
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto

from bridge.errors import ConfigurationError
from bridge.tls import ocsp, stapling
from bridge.tls.ocsp import UNREADABLE
from bridge.tls.settings import Trust

_binding = Binding()
_ffi: Any = _binding.ffi
_lib: Any = _binding.lib

_REASONS = {  # X509_V_ERR_…, openssl-verification-options(1)
    2: "the authority that signed it is unknown: add it to ca_bundle",
    3: "there is no revocation list for one of its authorities: add one to revocation_lists",
    9: "it is not valid yet",
    10: "it has expired",
    11: "a revocation list is not valid yet; is the clock of this host right?",
    12: "a revocation list has expired: fetch a new one",
    18: "it signed itself: pin it, or add it to ca_bundle",
    19: "an authority of its chain signed itself and is unknown: add it to ca_bundle",
    20: "the authority that signed it is unknown: add it to ca_bundle",
    21: "the authority that signed it is unknown: add it to ca_bundle",
    23: "it is revoked",
    24: "an authority of its chain may not sign certificates",
    26: "it is not made for servers (extended key usage)",
    62: "it is for another name: see certificate_name",
    64: "it is for another IP address: see certificate_name",
}
_BY_THE_CLOCK = (9, 10)  # of these reasons: judged by this host's clock


def reason(error: int) -> str:
    """Return why OpenSSL does not accept a certificate."""
    return _REASONS.get(error) or str(_ffi.string(_lib.X509_verify_cert_error_string(error)), "ascii", "replace")


def _times(certificate: crypto.X509) -> str:
    """Return by what times the validity of a certificate was judged: its own, and that of this host's clock.

    The clock's is told to the day, so that a link which is tried again and again has one reason. This must not fail.
    """
    first, last = (
        _readable((time or b"").decode("ascii", "replace"))
        for time in (certificate.get_notBefore(), certificate.get_notAfter())
    )
    today = _readable(ocsp.moment(0)).split(" ")[0]
    return f" (notBefore is {first}, notAfter {last}, and the clock of this host says {today}: is it right?)"


def _readable(time: str) -> str:
    """Return a time in ASN.1 notation as people write it."""
    return f"{time[:4]}-{time[4:6]}-{time[6:8]} {time[8:10]}:{time[10:12]} UTC" if time else "not readable"


def prepare(context: SSL.Context, trust: Trust) -> None:
    """Set the trusted certificates of a context. Raises ConfigurationError for unusable files."""
    store = context.get_cert_store()
    if store is None:
        raise AssertionError("every context has a store")
    if trust.authorities == b"":
        context.set_default_verify_paths()
    for certificate in certificates(trust.authorities or b"", "ca_bundle") if trust.authorities else ():
        store.add_cert(crypto.X509.from_cryptography(certificate))
    if trust.revoked:
        for revocation_list in revocation_lists(trust.revoked):
            store.add_crl(revocation_list)
        store.set_flags(crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.CRL_CHECK_ALL)
    context.set_verify(SSL.VERIFY_PEER, _Judge(trust).judge)
    if trust.stapled:
        context.set_ocsp_client_callback(_judge_staple)


def expect_name(connection: SSL.Connection, name: str) -> None:
    """Require that the server's certificate is for this DNS name or IP address."""
    parameters = _lib.SSL_get0_param(connection._ssl)  # noqa: SLF001  # pyOpenSSL offers it only on contexts
    try:
        address = ipaddress.ip_address(name).packed
    except ValueError:
        host = name.encode("idna")
        _lib.X509_VERIFY_PARAM_set_hostflags(parameters, _lib.X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS)
        _lib.X509_VERIFY_PARAM_set1_host(parameters, host, len(host))
    else:
        _lib.X509_VERIFY_PARAM_set1_ip(parameters, address, len(address))


def _fingerprint(certificate: crypto.X509) -> bytes:
    """Return the SHA-256 of a certificate, without reading it: this must not fail, whatever a server sends."""
    digest = Hash(SHA256())
    digest.update(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate))
    return digest.finalize()


class _Judge:
    def __init__(self, trust: Trust) -> None:
        self._trust = trust

    def judge(self, connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, good: int) -> bool:
        """Return whether one certificate of the server's chain is accepted; a reason against it is stored."""
        pinned, is_leaf = self._trust.pinned, depth == 0
        if is_leaf and pinned and _fingerprint(certificate) not in pinned:
            why = "it is not one of the pinned certificates"
        elif good or self._trust.authorities is None:
            return True
        else:
            why = reason(error)
            if error in _BY_THE_CLOCK:
                why += _times(certificate)
        connection.get_app_data().refused = why if is_leaf else f"{why} (at its authority number {depth})"
        return False


def _judge_staple(connection: SSL.Connection, response: bytes, _data: object) -> bool:
    """Return whether a stapled OCSP response proves that the server's certificate is good; the reason is stored."""
    chain = connection.get_verified_chain()
    if chain is None or len(chain) < 2:  # noqa: PLR2004  # a certificate and its authority
        why = "nobody can have answered for a certificate without authority"
    else:
        try:
            certificate, issuer = (one.to_cryptography() for one in chain[:2])
            why = stapling.refusal(response, certificate, issuer, ocsp.now())
        except UNREADABLE as error:
            why = f"it cannot be read: {error}"
    connection.get_app_data().refused = why
    return not why


def chain(connection: SSL.Connection) -> tuple[x509.Certificate, ...]:
    """Return the verified chain of the server's certificate, its own first; empty if there is none to be read."""
    try:
        return tuple(one.to_cryptography() for one in connection.get_verified_chain() or ())
    except UNREADABLE:
        return ()


def certificates(pem: bytes, setting: str) -> list[x509.Certificate]:
    """Return the certificates of a PEM text. Raises ConfigurationError if there is none, or one cannot be read."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except UNREADABLE as error:
        raise ConfigurationError(f"{setting} holds no certificates in PEM ({error})") from None


def private_key(pem: bytes) -> PrivateKeyTypes:
    """Return the private key of a PEM text. Raises ConfigurationError."""
    try:
        return load_pem_private_key(pem, None)
    except UNREADABLE:
        raise ConfigurationError("private_key holds no private key in PEM without a passphrase") from None


def revocation_lists(pem: bytes) -> list[x509.CertificateRevocationList]:
    """Return the revocation lists of a PEM text. Raises ConfigurationError, as above."""
    end = b"-----END X509 CRL-----"
    parts = [part + end for part in pem.split(end) if b"-----BEGIN X509 CRL-----" in part]
    try:
        found = [x509.load_pem_x509_crl(part) for part in parts]
    except UNREADABLE as error:
        raise ConfigurationError(f"revocation_lists cannot be read ({error})") from None
    if not found:
        raise ConfigurationError("revocation_lists holds no revocation list in PEM")
    return found
