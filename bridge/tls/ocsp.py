"""Questions to OCSP responders, and what their answers prove (RFC 6960). No I/O."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.bindings.openssl.binding import Binding
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

_binding = Binding()
_ffi: Any = _binding.ffi
_lib: Any = _binding.lib

UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""The exceptions of cryptography for unreadable certificates, lists, keys and responses."""

SKEW = 300  # seconds that the clocks of a responder and of this host may differ by
NONCE = 32  # bytes (RFC 9654 §2.1)


@dataclass(frozen=True, slots=True)
class VerificationTime:
    """The time by which OpenSSL judges certificates, minus and plus SKEW, in ASN.1 notation."""

    earliest: str
    latest: str


def now() -> VerificationTime:
    """Return the time by which OpenSSL judges certificates now."""
    return VerificationTime(*(moment(seconds) for seconds in (-SKEW, SKEW)))


def moment(seconds: int) -> str:
    """Return the time by which OpenSSL judges certificates, plus these seconds, in ASN.1 notation (UTC)."""
    time = _ffi.gc(_lib.X509_gmtime_adj(_ffi.NULL, seconds), _lib.ASN1_TIME_free)
    written = _ffi.gc(_lib.ASN1_TIME_to_generalizedtime(time, _ffi.NULL), _lib.ASN1_GENERALIZEDTIME_free)
    return str(_ffi.string(_lib.ASN1_STRING_get0_data(_ffi.cast("ASN1_STRING *", written))), "ascii")


class CertificateStatus(Enum):
    """What an answer proves of a certificate."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"  # the authority's responder says that it does not know the certificate
    UNPROVEN = "unproven"  # no answer, or one that proves nothing


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of a certificate. `why`: against it, for people; empty: it is good. `until`: seconds of the
    wall clock at which the responder has a newer answer; None: at any time. `final`: no later answer undoes it.
    """

    standing: CertificateStatus
    why: str = ""
    until: float | None = None
    final: bool = False


def question(certificate: x509.Certificate, issuer: x509.Certificate, nonce: bytes) -> bytes:
    """Return a request in DER about one certificate."""
    # Responders look certificates up by SHA-1 of the issuer's name and key (RFC 5019 §2.1.1); nothing is signed by it.
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, SHA1())  # noqa: S303
    return builder.add_extension(x509.OCSPNonce(nonce), critical=False).build().public_bytes(Encoding.DER)


def responders(certificate: x509.Certificate) -> list[str]:
    """Return the URLs of OCSP responders that a certificate names (RFC 5280 §4.2.2.1); none if it cannot be read."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return []
    return [
        one.access_location.value
        for one in found
        if one.access_method == AuthorityInformationAccessOID.OCSP
        and isinstance(one.access_location, x509.UniformResourceIdentifier)
    ]


def answer(
    data: bytes,
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    at: VerificationTime,
    nonce: bytes | None = None,
) -> Answer:
    """Return what a response in DER proves of a certificate. Never raises, whatever the bytes.

    `nonce`: that of the question. A response with another nonce proves nothing. One without a nonce was made in
    advance (RFC 5019 §4); it must say until when it is valid. None: nobody asked, the response was stapled.

    That a certificate is revoked is proven by any response that its authority has signed, however old and whatever the
    question: only a certificate on hold can become good again (RFC 5280 §5.3.1).
    """
    try:
        response = ocsp.load_der_ocsp_response(data)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return _proves_nothing(f"its OCSP responder could not say: {response.response_status.name.lower()}")
        if not _is_about(response, certificate, issuer):
            return _proves_nothing("its OCSP response is about another certificate")
        if not _is_signed(response, issuer, at):
            return _proves_nothing(
                "its OCSP response is not signed by its authority, nor by a delegate of that authority"
            )
        if _is_final(response):
            return Answer(
                CertificateStatus.REVOKED, "it is revoked, its OCSP responder says", _until(response), final=True
            )
        fresh = False
        if nonce is not None and (theirs := _nonce(response)) is not None:
            if theirs != nonce:
                return _proves_nothing("its OCSP response is the answer to another question (nonce)")
            fresh = True
        return _standing(response, at, fresh=fresh)
    except UNREADABLE as error:
        return _proves_nothing(f"its OCSP response cannot be read: {error}")


def _proves_nothing(why: str) -> Answer:
    return Answer(CertificateStatus.UNPROVEN, why)


def _nonce(response: ocsp.OCSPResponse) -> bytes | None:
    try:
        return response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except x509.ExtensionNotFound:
        return None


def _is_about(response: ocsp.OCSPResponse, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, response.hash_algorithm).build()
    return (response.serial_number, response.issuer_name_hash, response.issuer_key_hash) == (
        asked.serial_number,
        asked.issuer_name_hash,
        asked.issuer_key_hash,
    )


def _is_signed(response: ocsp.OCSPResponse, issuer: x509.Certificate, at: VerificationTime) -> bool:
    signers = [issuer, *(one for one in response.certificates if _may_sign(one, issuer, at))]
    return any(_verifies(response, signer) for signer in signers)


def _may_sign(one: x509.Certificate, issuer: x509.Certificate, at: VerificationTime) -> bool:
    """Return whether a responder's certificate is of the same authority and for this purpose (RFC 6960 §4.2.2.2)."""
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


def _standing(response: ocsp.OCSPResponse, at: VerificationTime, *, fresh: bool) -> Answer:
    """Return the standing that a signed response states. `fresh`: its nonce shows that it is not an old one."""
    until = response.next_update_utc
    seconds = _until(response)
    if _written(response.this_update_utc) > at.latest:
        return _proves_nothing("its OCSP response is of a later time; is the clock of this host right?")
    if (until is None and not fresh) or (until is not None and _written(until) < at.earliest):
        return _proves_nothing("its OCSP response is too old; is the clock of this host right?")
    if response.certificate_status is ocsp.OCSPCertStatus.REVOKED:
        return Answer(CertificateStatus.REVOKED, "it is on hold, its OCSP responder says", seconds)
    if response.certificate_status is not ocsp.OCSPCertStatus.GOOD:
        return Answer(CertificateStatus.UNKNOWN, "its OCSP responder does not know it", seconds)
    return Answer(CertificateStatus.GOOD, "", seconds)


def _is_final(response: ocsp.OCSPResponse) -> bool:
    """Return whether a response says that a certificate is revoked for good, and not on hold."""
    revoked = response.certificate_status is ocsp.OCSPCertStatus.REVOKED
    healing = {x509.ReasonFlags.certificate_hold, x509.ReasonFlags.remove_from_crl}
    return revoked and response.revocation_reason not in healing


def _until(response: ocsp.OCSPResponse) -> float | None:
    return None if response.next_update_utc is None else response.next_update_utc.timestamp()


def _written(moment: object) -> str:
    return f"{moment:%Y%m%d%H%M%SZ}"
