"""Whether a stapled OCSP response (RFC 6066 §8) says that the server's certificate is good (RFC 6960)."""

from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.bindings.openssl.binding import Binding
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

_binding = Binding()
_ffi: Any = _binding.ffi
_lib: Any = _binding.lib

UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.UnsupportedGeneralNameType)
"""The exceptions of cryptography for unreadable certificates, lists, keys and responses."""

SKEW = 300  # seconds that the clocks of a responder and of this host may differ by


@dataclass(frozen=True, slots=True)
class Now:
    """The time by which OpenSSL judges certificates, minus and plus SKEW, in ASN.1 notation."""

    earliest: str
    latest: str


def now() -> Now:
    """Return it."""
    return Now(*(_moment(seconds) for seconds in (-SKEW, SKEW)))


def _moment(seconds: int) -> str:
    time = _ffi.gc(_lib.X509_gmtime_adj(_ffi.NULL, seconds), _lib.ASN1_TIME_free)
    written = _ffi.gc(_lib.ASN1_TIME_to_generalizedtime(time, _ffi.NULL), _lib.ASN1_GENERALIZEDTIME_free)
    return str(_ffi.string(_lib.ASN1_STRING_get0_data(_ffi.cast("ASN1_STRING *", written))), "ascii")


def refusal(data: bytes, certificate: x509.Certificate, issuer: x509.Certificate, at: Now) -> str:
    """Return why a response does not prove that a certificate is good; an empty string if it does. Never raises."""
    if not data:
        return "the server sent no OCSP response, which revocation = staple demands"
    try:
        response = ocsp.load_der_ocsp_response(data)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return f"its OCSP responder could not say: {response.response_status.name.lower()}"
        if not _is_about(response, certificate, issuer):
            return "its OCSP response is about another certificate"
        if not _is_signed(response, issuer, at):
            return "its OCSP response is not signed by its authority, nor by a delegate of that authority"
        return _standing(response, at)
    except UNREADABLE as error:
        return f"its OCSP response cannot be read: {error}"


def _is_about(response: ocsp.OCSPResponse, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, response.hash_algorithm).build()
    return (response.serial_number, response.issuer_name_hash, response.issuer_key_hash) == (
        asked.serial_number,
        asked.issuer_name_hash,
        asked.issuer_key_hash,
    )


def _is_signed(response: ocsp.OCSPResponse, issuer: x509.Certificate, at: Now) -> bool:
    signers = [issuer, *(one for one in response.certificates if _may_sign(one, issuer, at))]
    return any(_verifies(response, signer) for signer in signers)


def _may_sign(one: x509.Certificate, issuer: x509.Certificate, at: Now) -> bool:
    """Whether a responder's certificate is of the same authority and for this purpose (RFC 6960 §4.2.2.2)."""
    try:
        one.verify_directly_issued_by(issuer)
        uses = one.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (InvalidSignature, x509.ExtensionNotFound, *UNREADABLE):
        return False
    valid = _written(one.not_valid_before_utc) <= at.latest and at.earliest <= _written(one.not_valid_after_utc)
    return valid and ExtendedKeyUsageOID.OCSP_SIGNING in uses


def _verifies(response: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    key, algorithm = signer.public_key(), response.signature_hash_algorithm
    try:
        if isinstance(key, ec.EllipticCurvePublicKey) and algorithm is not None:
            key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey) and algorithm is not None:
            key.verify(response.signature, response.tbs_response_bytes, PKCS1v15(), algorithm)
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _standing(response: ocsp.OCSPResponse, at: Now) -> str:
    if response.certificate_status is ocsp.OCSPCertStatus.REVOKED:
        return "it is revoked, its OCSP responder says"
    if response.certificate_status is not ocsp.OCSPCertStatus.GOOD:
        return "its OCSP responder does not know it"
    if _written(response.this_update_utc) > at.latest:
        return "its OCSP response is of a later time; is the clock of this host right?"
    if response.next_update_utc is None or _written(response.next_update_utc) < at.earliest:
        return "its OCSP response is too old; is the clock of this host right?"
    return ""


def _written(moment: object) -> str:
    return f"{moment:%Y%m%d%H%M%SZ}"
