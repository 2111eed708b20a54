"""Authorities, certificates and revocation lists, made as tests need them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

NOW = datetime.now(UTC).replace(microsecond=0)
YEAR = timedelta(days=365)


@dataclass(frozen=True)
class Issued:
    """A certificate with its key; `above` are the authorities between it and the root."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    above: tuple[x509.Certificate, ...] = ()

    @property
    def pem(self) -> bytes:
        return b"".join(one.public_bytes(Encoding.PEM) for one in (self.certificate, *self.above))

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def fingerprint(self) -> bytes:
        return self.certificate.fingerprint(SHA256())


def name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


class Authority:
    """A certificate authority; `of` makes it one below another."""

    def __init__(self, common: str = "Test root", of: "Authority | None" = None, ocsp_url: str = "") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self._of = of
        issuer, signer = (name(common), self.key) if of is None else (of.certificate.subject, of.key)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(common))
            .issuer_name(issuer)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - YEAR)
            .not_valid_after(NOW + YEAR)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
        )
        if ocsp_url:
            builder = builder.add_extension(_asks(ocsp_url), critical=False)
        self.certificate = builder.sign(signer, SHA256())

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def _above(self) -> tuple[x509.Certificate, ...]:
        return () if self._of is None else (self.certificate, *self._of._above)

    def issue(
        self,
        common: str,
        *,
        names: tuple[str, ...] = (),
        valid: tuple[timedelta, timedelta] = (-YEAR, YEAR),
        server: bool = True,
        client: bool = True,
        responder: bool = False,
        ocsp_url: str = "",
    ) -> Issued:
        """Return a certificate for `common`, and for the DNS names and IP addresses `names`."""
        key = ec.generate_private_key(ec.SECP256R1())
        uses = [ExtendedKeyUsageOID.SERVER_AUTH] * server + [ExtendedKeyUsageOID.CLIENT_AUTH] * client
        uses += [ExtendedKeyUsageOID.OCSP_SIGNING] * responder
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(common))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + valid[0])
            .not_valid_after(NOW + valid[1])
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general(one) for one in names]), False)
        if ocsp_url:
            builder = builder.add_extension(_asks(ocsp_url), critical=False)
        return Issued(builder.sign(self.key, SHA256()), key, self._above)

    def revokes(
        self, *revoked: Issued, valid: tuple[timedelta, timedelta] = (-timedelta(days=1), timedelta(days=1))
    ) -> bytes:
        """Return a revocation list in PEM."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(NOW + valid[0])
            .next_update(NOW + valid[1])
        )
        for one in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(NOW - timedelta(hours=1)).build())
        return builder.sign(self.key, SHA256()).public_bytes(Encoding.PEM)


def _asks(url: str) -> x509.AuthorityInformationAccess:
    where = x509.UniformResourceIdentifier(url)
    return x509.AuthorityInformationAccess([x509.AccessDescription(AuthorityInformationAccessOID.OCSP, where)])


def vouches(  # each is a way to be wrong
    authority: Authority,
    about: Issued | x509.Certificate,
    *,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
    valid: tuple[timedelta, timedelta] = (-timedelta(hours=1), timedelta(hours=1)),
    signer: Issued | None = None,
    nonce: bytes = b"",
    reason: x509.ReasonFlags | None = None,
) -> bytes:
    """Return an OCSP response in DER, signed by the authority, or by another in its place."""
    subject = about.certificate if isinstance(about, Issued) else about
    revoked = NOW - timedelta(hours=1) if status is ocsp.OCSPCertStatus.REVOKED else None
    certificate, key = (authority.certificate, authority.key) if signer is None else (signer.certificate, signer.key)
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(subject, authority.certificate, SHA256(), status, NOW + valid[0], NOW + valid[1], revoked, reason)
        .responder_id(ocsp.OCSPResponderEncoding.HASH, certificate)
    )
    if signer is not None:
        builder = builder.certificates([certificate])
    if nonce:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.sign(key, SHA256()).public_bytes(Encoding.DER)


def self_signed(common: str, *names: str) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name(common))
        .issuer_name(name(common))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - YEAR)
        .not_valid_after(NOW + YEAR)
        .add_extension(x509.SubjectAlternativeName([_general(one) for one in names or (common,)]), critical=False)
        .sign(key, SHA256())
    )
    return Issued(certificate, key)


def _general(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
