"""Whether a stapled OCSP response (RFC 6066 §8) says that the server's certificate is good."""

from cryptography import x509

from bridge.tls import ocsp


def refusal(data: bytes, certificate: x509.Certificate, issuer: x509.Certificate, at: ocsp.VerificationTime) -> str:
    """Return why a response does not prove that a certificate is good; an empty string if it does. Never raises."""
    if not data:
        return "the server sent no OCSP response, which revocation = staple demands"
    return ocsp.answer(data, certificate, issuer, at).why
